# Everything the gate checks.
check:
    bash .ci/run

# Build the extension into the current environment.
develop:
    maturin develop --release

test:
    pytest
