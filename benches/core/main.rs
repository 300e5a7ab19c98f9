//! The core without Python, beside `std`, parking_lot and crossbeam: what this machine can do at best.
//!
//! ```sh
//! cargo bench --no-default-features
//! ```

#[cfg(not(any(loom, feature = "python")))]
mod hand_over;
#[cfg(not(any(loom, feature = "python")))]
mod lock;
#[cfg(not(any(loom, feature = "python")))]
mod pair;
#[cfg(not(any(loom, feature = "python")))]
mod queue;
#[cfg(not(any(loom, feature = "python")))]
mod select;

#[cfg(not(any(loom, feature = "python")))]
fn main() {
    let mut criterion = criterion::Criterion::default().configure_from_args();
    lock::measure(&mut criterion);
    hand_over::measure(&mut criterion);
    queue::measure(&mut criterion);
    select::measure(&mut criterion);
    criterion.final_summary();
}

// With Python the leaf lock of a queue is the interpreter's, which nobody holds here; and loom's
// locks work in models only.
#[cfg(any(loom, feature = "python"))]
fn main() {
    eprintln!("these benchmarks are of the core alone: cargo bench --no-default-features");
    std::process::exit(2);
}
