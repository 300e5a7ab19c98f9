use _oxthreads::primitives::future::{Future, Outcome};
use loom::sync::Arc;
use loom::thread;

use crate::support::{block_for_ever, model};

#[test]
fn a_future_is_cancelled_or_begun() {
    model(|| {
        let future = Arc::new(Future::<i32, ()>::new());
        let worker = {
            let future = Arc::clone(&future);
            thread::spawn(move || {
                let begun = future.begin().unwrap();
                if begun {
                    assert!(future.finish(Outcome::Value(1)).is_ok());
                }
                begun
            })
        };
        let cancelled = future.cancel().is_ok();
        assert_eq!(block_for_ever(future.wait()), Ok(()));
        assert_eq!(worker.join().unwrap(), !cancelled);
    });
}
