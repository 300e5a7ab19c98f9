# The commands of everyday work.
default:
    @just --list

# Everything the gate checks, from a clean clone.
check:
    bash .ci/run

# Build the extension into the current environment.
develop:
    maturin develop --release

# The Python tests.
test *arguments:
    pytest {{arguments}}

# Other people's programs on both libraries; `just programs --selection` takes less than five minutes.
programs *arguments:
    python -m tests.programs {{arguments}}

# The Rust tests, and every interleaving of small programs.
test-rust:
    cargo test --no-default-features
    RUSTFLAGS="--cfg loom" cargo test --release --no-default-features --test models --test queue_models --target-dir target/loom

# Formats both languages.
format:
    cargo fmt
    ruff check --fix
    ruff format

# The standard library, oxthreads and their peers, scenario by scenario; `just bench --list` shows which.
bench *arguments:
    python benches/suite.py {{arguments}}

# The Rust core beside std, parking_lot and crossbeam.
bench-rust *arguments:
    cargo bench --no-default-features {{arguments}}

# Attacks on what must not be lost or stuck, which take hours; `just siege --quick` takes minutes.
siege *arguments:
    python -m tests.siege {{arguments}}
