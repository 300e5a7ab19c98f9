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

# Each of the Python tests that can be in four threads at once, and the others by themselves, without the GIL:
# it takes a free-threaded interpreter.
test-parallel *arguments:
    maturin develop --release --extras test,parallel
    PYTHON_GIL=0 pytest --parallel-threads=4 {{arguments}}

# Other people's programs on both libraries; `just programs --selection` takes less than five minutes.
programs *arguments:
    python -m tests.programs {{arguments}}

# Install the package with one of its extras into the current environment.
install extra:
    python -m pip install --quiet {{quote(".[" + extra + "]")}}

# Install the package with what its tests need into the current environment, and run them.
[positional-arguments]
install-and-test *arguments: (install "test")
    python -m pytest "$@"

# The Rust tests.
test-core:
    cargo test --quiet --no-default-features

# The Rust tests, and the interleavings of small programs.
test-rust: test-core
    RUSTFLAGS="--cfg loom" cargo test --release --no-default-features --test models --test queue_models --test pin_models --target-dir target/loom

# The same on Linux with the parker of other platforms, which is slower and deaf to signals for up to 100 ms.
# It stays in the current environment until the next `just develop`.
test-portable:
    RUSTFLAGS="--cfg portable_parker" cargo test --no-default-features --target-dir target/portable
    RUSTFLAGS="--cfg portable_parker" CARGO_TARGET_DIR=target/portable maturin develop --release
    # It polls, which one test forbids: that is what the Linux parker is for; and few signals of a storm are noticed.
    pytest -n 4 --deselect "tests/stress/test_stress.py::test_quickly[signal-interrupts]" --deselect "tests/stress/test_stress.py::test_quickly[signal-deadlines]" --deselect "tests/stress/test_stress.py::test_quickly[signal-storms]" --deselect "tests/stress/test_stress.py::test_quickly[watched]" --deselect "tests/threading/test_thread.py::test_waiting_costs_no_cpu[oxthreads]" --deselect "tests/diagnose/test_watch.py::test_a_thousand_threads_and_five_thousand_locks" --deselect "tests/process/test_signals.py::test_a_storm_of_signals_loses_no_item_and_keeps_the_order[oxthreads]"

# Panics injected into the Rust core, in a build that no release is.
# It stays in the current environment until the next `just develop`.
test-panics:
    CARGO_TARGET_DIR=target/panics maturin develop --release --features inject-panic
    python -m tests.stress panics

# The Rust tests under ThreadSanitizer. It takes a nightly Rust with its source: it builds the standard library.
sanitize:
    rustup component add rust-src --toolchain nightly
    RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS=die_after_fork=0 cargo +nightly test -Zbuild-std --no-default-features --tests --target x86_64-unknown-linux-gnu --target-dir target/sanitize -- --test-threads=1

# The Python tests with the extension under AddressSanitizer, on Linux; docs/unsafe.md says what that sees.
# It takes GCC and a nightly Rust with its source. PYTHON says which interpreter to take.
sanitize-address *arguments:
    bash .ci/address-sanitizer {{arguments}}

# That what knows the platform builds for others, as far as that can be seen from here.
check-platforms:
    for target in x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-unknown-linux-musl i686-unknown-linux-gnu; do \
        rustup target add $target && \
        RUSTFLAGS="-D warnings" cargo check --no-default-features --target-dir target/platforms --target $target || exit 1; \
    done

# The workflows of .github, which run elsewhere: their form, and what makes workflows unsafe. It takes the extra
# `workflows`.
lint-workflows:
    zizmor --offline --persona=auditor .github
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# What the next two take, into the current environment.
wheel-tools:
    python -m pip install --quiet -r .ci/wheel-tools.txt

# Wheels and the source distribution, into dist/: for all platforms whose Rust standard library is installed, or for
# those that are named. With `--install`, the standard libraries are installed first.
wheels *arguments:
    python .ci/wheels {{arguments}}

# What is wrong with what is in dist/.
check-wheels:
    python .ci/check-wheels

# The tests on an installed wheel, without Rust: on a wheel that is named, or on that of dist/ for an interpreter.
[positional-arguments]
test-wheel *arguments:
    bash .ci/test-wheel "$@"

# The same for aarch64, in a Debian on an emulated processor. It takes root, and the wheel in dist/.
[positional-arguments]
test-aarch64 *arguments:
    bash .ci/test-aarch64 "$@"

# The same for musl, the C library of Alpine. It takes Debian, and the wheel for CPython 3.14 in dist/.
[positional-arguments]
test-musl *arguments:
    bash .ci/test-musl "$@"

# The Rust tests as Windows programs, under Wine. It takes Debian, and root where Wine and MinGW are not installed.
[positional-arguments]
test-windows *arguments:
    bash .ci/test-windows "$@"

# Format, lints and types of both languages. Nothing is changed.
lint: lint-workflows
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    ruff check
    ruff format --check
    mypy
    basedpyright

# That a tag (v1.2.3), the version and the changelog agree, before a release is built.
check-release tag:
    .ci/check-release {{quote(tag)}}

# The links of the README, for the page of a release on a package index, which has no other file of the repository.
# It changes README.md: a release is built of a copy.
readme-links address:
    .ci/readme-links {{quote(address)}}

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

# Attacks on what must not be lost or stuck: about an hour and a half on two cores (added up from parts), with the
# soak of one hour beside the others. With `--python PATH`, which may be given several times, those interpreters are
# attacked.
# `just stress --quick` takes minutes; so does the same in pytest (tests/stress/test_stress.py).
stress *arguments:
    python -m tests.stress {{arguments}}

# The plots of docs/performance.md, from its tables.
plots:
    python benches/plots.py

# The site, from docs/, notes/ and the docstrings, into target/site. Any warning is an error. `pip install '.[docs]'`
# installs what it takes, and the package itself, whose docstrings it shows.
docs:
    rm -rf target/site
    python -m sphinx --fresh-env --quiet --fail-on-warning --keep-going --builder html docs target/site

# The site in a browser: the last line says where. Ctrl-C ends it.
docs-serve: docs
    python -m http.server --bind 127.0.0.1 --directory target/site 8000
