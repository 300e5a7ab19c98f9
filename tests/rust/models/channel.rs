//! The rendezvous: a sender and a receiver meet, whatever else they wait for.

use _oxthreads::primitives::broadcast::{Broadcast, OnLag, Subscription};
use _oxthreads::primitives::channel::{Channel, OnFull, ReceiveError, SendError};
use _oxthreads::primitives::watch::{Reader, Watch};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::{AnyOperation, Converted, Parked, Select, drive};
use loom::sync::Arc;

use crate::spawn;
use crate::support::{block_for_ever, give_up, model};

fn rendezvous() -> Channel<i32> {
    Channel::new(Some(0), OnFull::Block)
}

#[test]
fn a_sender_meets_a_receiver() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let sender = spawn(&channel, |channel| block_for_ever(channel.send(1)));
        assert_eq!(block_for_ever(channel.receive()), Ok(1));
        assert_eq!(sender.join().unwrap(), Ok(None));
        assert_eq!(channel.try_receive(), Err(ReceiveError::Empty));
    });
}

#[test]
fn two_senders_meet_a_receiver_each() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let senders =
            [1, 2].map(|item| spawn(&channel, move |channel| block_for_ever(channel.send(item))));
        let mut received = [(); 2].map(|()| block_for_ever(channel.receive()).unwrap());
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Ok(None));
        }
    });
}

#[test]
fn a_receiver_that_gives_up_has_received_or_not() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let hasty = spawn(&channel, |channel| give_up(channel.receive()));
        let sender = spawn(&channel, |channel| block_for_ever(channel.send(1)));
        let received = hasty.join().unwrap();
        if received.is_none() {
            assert_eq!(block_for_ever(channel.receive()), Ok(1));
        }
        assert_eq!(sender.join().unwrap(), Ok(None));
    });
}

#[test]
fn a_sender_that_gives_up_has_sent_or_not() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let hasty = spawn(&channel, |channel| give_up(channel.send(1)));
        let received = give_up(channel.receive());
        assert_eq!(hasty.join().unwrap().is_some(), received.is_some());
        assert_eq!(channel.try_receive(), Err(ReceiveError::Empty));
    });
}

#[test]
fn a_receiver_that_raises_leaves_the_sender_to_another() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let raising = spawn(&channel, |channel| {
            let raise = |_: &_, _| Parked::Raising;
            match drive(&mut channel.receive(), Deadline::NEVER, raise) {
                Wait::Ready(item) => Some(item.unwrap()),
                _ => None,
            }
        });
        let sender = spawn(&channel, |channel| block_for_ever(channel.send(1)));
        if raising.join().unwrap().is_none() {
            assert_eq!(block_for_ever(channel.receive()), Ok(1));
        }
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn the_end_comes_before_a_meeting_or_after_it() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let sender = spawn(&channel, |channel| block_for_ever(channel.send(1)));
        let receiver = spawn(&channel, |channel| block_for_ever(channel.receive()));
        channel.close();
        match receiver.join().unwrap() {
            Ok(item) => {
                assert_eq!(item, 1);
                assert_eq!(sender.join().unwrap(), Ok(None));
            }
            Err(error) => {
                assert_eq!(error, ReceiveError::Closed);
                assert_eq!(sender.join().unwrap(), Err(SendError::Closed(1)));
            }
        }
    });
}

#[test]
fn an_item_that_is_sent_without_a_wait_is_not_lost() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let hasty = spawn(&channel, |channel| give_up(channel.receive()));
        let sent = channel.try_send(1).is_ok();
        channel.close();
        let received = match hasty.join().unwrap() {
            Some(Ok(item)) => Some(item),
            _ => channel.try_receive().ok(),
        };
        assert_eq!(received, sent.then_some(1));
        assert_eq!(channel.try_receive(), Err(ReceiveError::Closed));
    });
}

type Arm<'a> = Box<dyn AnyOperation<Output = Option<i32>> + 'a>;

fn send(channel: &Channel<i32>, item: i32) -> Arm<'_> {
    Box::new(Converted::new(channel.send(item), |sent: Result<_, _>| {
        sent.unwrap();
        None
    }))
}

fn receive(channel: &Channel<i32>) -> Arm<'_> {
    Box::new(Converted::new(channel.receive(), |item: Result<_, _>| {
        Some(item.unwrap())
    }))
}

fn select(arms: Vec<Arm<'_>>, first: usize) -> Option<i32> {
    block_for_ever(Select::new(arms, first)).1
}

#[test]
fn a_wait_that_sends_to_two_sends_to_one() {
    model(|| {
        let channels = Arc::new([rendezvous(), rendezvous()]);
        let sender = spawn(&channels, |[first, second]| {
            select(vec![send(first, 1), send(second, 2)], 0)
        });
        let other = spawn(&channels, |[first, _]| give_up(first.receive()));
        let received = give_up(channels[1].receive());
        let others = other.join().unwrap();
        if received.is_none() && others.is_none() {
            assert_eq!(block_for_ever(channels[0].receive()), Ok(1));
        }
        assert!(received.is_none() || others.is_none(), "sent to both");
        assert_eq!(sender.join().unwrap(), None);
    });
}

#[test]
fn a_wait_that_sends_and_receives_meets_another_one() {
    model(|| {
        let channels = Arc::new([rendezvous(), rendezvous()]);
        let other = spawn(&channels, |[first, second]| {
            select(vec![send(second, 2), receive(first)], 0)
        });
        let [first, second] = &*channels;
        let mine = select(vec![send(first, 1), receive(second)], 0);
        match (mine, other.join().unwrap()) {
            (None, Some(1)) | (Some(2), None) => {}
            both => unreachable!("{both:?}"),
        }
    });
}

#[test]
fn a_wait_that_sends_and_receives_in_one_channel_meets_a_plain_sender() {
    model(|| {
        let channel = Arc::new(rendezvous());
        let sender = spawn(&channel, |channel| block_for_ever(channel.send(7)));
        let arms = vec![send(&channel, 1), receive(&channel)];
        assert_eq!(select(arms, 0), Some(7));
        assert_eq!(sender.join().unwrap(), Ok(None));
    });
}

#[test]
fn a_broadcast_reaches_all_and_waits_for_the_slowest() {
    model(|| {
        let broadcast = Arc::new(Broadcast::new(1, OnLag::Block));
        let [first, second] = [(); 2].map(|()| Subscription::new(Arc::clone(&broadcast)));
        let receiver =
            loom::thread::spawn(move || [(); 2].map(|()| block_for_ever(first.receive()).unwrap()));
        let sender = spawn(&broadcast, |broadcast| {
            block_for_ever(broadcast.send(1)).unwrap();
            block_for_ever(broadcast.send(2)).unwrap();
        });
        assert_eq!(block_for_ever(second.receive()), Ok(1));
        assert_eq!(block_for_ever(second.receive()), Ok(2));
        assert_eq!(receiver.join().unwrap(), [1, 2]);
        sender.join().unwrap();
        assert!(broadcast.is_empty());
    });
}

#[test]
fn a_change_is_not_missed() {
    model(|| {
        let watch = Arc::new(Watch::new(0));
        let reader = Reader::new(Arc::clone(&watch));
        let reading = loom::thread::spawn(
            move || {
                while block_for_ever(reader.changed()).unwrap() != 2 {}
            },
        );
        watch.set(1).unwrap();
        watch.set(2).unwrap();
        reading.join().unwrap();
    });
}
