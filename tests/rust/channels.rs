//! Channels, broadcasts and watched values, used by threads.
#![cfg(not(loom))]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _oxthreads::primitives::broadcast::{self, Broadcast, OnLag, SubscriptionError};
use _oxthreads::primitives::channel::{self, Channel, OnFull, ReceiveError, SendError};
use _oxthreads::primitives::watch::{Closed, Reader, Watch};
use _oxthreads::wait::deadline::{Deadline, Wait};
use _oxthreads::wait::hand_off::HAND_OFF_AFTER;
use _oxthreads::wait::{Converted, Operation, Parked, Select, Waiter, drive};

#[path = "support/either.rs"]
mod either;
mod support;

use either::{Either, either};
use support::{block_counting, block_for_ever, sleep, soon, spin_until, until_parked};

type Subscription = broadcast::Subscription<usize, Arc<Broadcast<usize>>>;

const ITEMS: usize = 2_000;

fn rendezvous() -> Channel<usize> {
    Channel::new(Some(0), OnFull::Block)
}

fn subscribe(broadcast: &Arc<Broadcast<usize>>) -> Subscription {
    Subscription::new(Arc::clone(broadcast))
}

/// Makes the operation join its list.
fn joined<O: Operation>(mut operation: O) -> O {
    assert!(operation.attempt(&Waiter::new()).is_none());
    operation
}

#[test]
fn each_item_is_received_once() {
    for capacity in [Some(0), Some(1), Some(5), None] {
        let channel = Channel::new(capacity, OnFull::Block);
        let mut all = thread::scope(|scope| {
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut received = Vec::new();
                        while let Ok(item) = block_for_ever(channel.receive()) {
                            received.push(item);
                        }
                        received
                    })
                })
                .collect();
            let senders: Vec<_> = (0..2)
                .map(|number| {
                    let channel = &channel;
                    scope.spawn(move || {
                        for item in (number..ITEMS).step_by(2) {
                            assert_eq!(block_for_ever(channel.send(item)), Ok(None));
                        }
                    })
                })
                .collect();
            for sender in senders {
                sender.join().unwrap();
            }
            channel.close();
            receivers
                .into_iter()
                .flat_map(|receiver| receiver.join().unwrap())
                .collect::<Vec<_>>()
        });
        all.sort_unstable();
        assert_eq!(all, (0..ITEMS).collect::<Vec<_>>(), "{capacity:?}");
    }
}

#[test]
fn a_sender_meets_a_receiver() {
    let channel = rendezvous();
    let parked = AtomicUsize::new(0);
    assert_eq!(channel.try_send(1), Err(SendError::Full(1)));
    assert_eq!(channel.try_receive(), Err(ReceiveError::Empty));
    thread::scope(|scope| {
        let sender = scope.spawn(|| block_counting(channel.send(1), &parked));
        until_parked(&parked, 1);
        assert!(channel.is_empty());
        assert_eq!(channel.try_receive(), Ok(1));
        assert_eq!(sender.join().unwrap(), Ok(None));
        let receiver = scope.spawn(|| block_counting(channel.receive(), &parked));
        until_parked(&parked, 2);
        assert_eq!(channel.try_send(2), Ok(None));
        assert_eq!(receiver.join().unwrap(), Ok(2));
    });
}

#[test]
fn a_sender_that_times_out_keeps_its_item() {
    let channel = rendezvous();
    let mut send = channel.send(7);
    assert_eq!(drive(&mut send, soon(), sleep), Wait::TimedOut);
    assert_eq!(send.item(), Some(&7));
    assert_eq!(channel.try_receive(), Err(ReceiveError::Empty));
    let full = Channel::new(Some(1), OnFull::Block);
    full.try_send(1).unwrap();
    let mut send = full.send(7);
    assert_eq!(drive(&mut send, soon(), sleep), Wait::TimedOut);
    assert_eq!(send.item(), Some(&7));
    assert_eq!(full.len(), 1);
}

#[test]
fn the_end_leaves_the_items_of_senders_with_them() {
    for capacity in [0, 1] {
        let channel = Channel::new(Some(capacity), OnFull::Block);
        let parked = AtomicUsize::new(0);
        for item in 0..capacity {
            channel.try_send(item).unwrap();
        }
        thread::scope(|scope| {
            let sender = scope.spawn(|| block_counting(channel.send(7), &parked));
            until_parked(&parked, 1);
            channel.close();
            assert_eq!(sender.join().unwrap(), Err(SendError::Closed(7)));
        });
        for item in 0..capacity {
            assert_eq!(channel.try_receive(), Ok(item));
        }
        assert_eq!(channel.try_receive(), Err(ReceiveError::Closed));
        assert_eq!(channel.try_send(8), Err(SendError::Closed(8)));
        assert!(channel.is_closed());
    }
}

#[test]
fn a_receiver_that_raises_leaves_the_sender_to_the_next() {
    let channel = rendezvous();
    let mut first = channel.receive();
    let mut sender = None;
    let outcome = drive(&mut first, Deadline::NEVER, |_, _| {
        sender = Some(joined(channel.send(1)));
        Parked::Raising
    });
    assert_eq!(outcome, Wait::Interrupted);
    let mut second = channel.receive();
    assert_eq!(second.attempt(&Waiter::new()), Some(Ok(1)));
    assert_eq!(sender.unwrap().leave(Parked::Unparked), Some(Ok(None)));
}

#[test]
fn a_chance_that_is_given_up_goes_to_the_next_receiver() {
    let channel = rendezvous();
    let mut first = joined(channel.receive());
    let mut second = joined(channel.receive());
    let mut sender = joined(channel.send(1));
    // The first was woken. Both find the item until one of them has taken it.
    assert_eq!(first.abandon(), None);
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(1)));
    assert_eq!(sender.abandon(), Some(Ok(None)));
}

#[test]
fn what_was_handed_to_a_receiver_that_gives_up_stays_also_after_the_end() {
    let channel = rendezvous();
    let mut receiver = joined(channel.receive());
    assert_eq!(channel.try_send(1), Ok(None));
    assert_eq!(channel.len(), 1);
    channel.close();
    assert_eq!(receiver.abandon(), None);
    assert_eq!(channel.try_receive(), Ok(1));
    assert_eq!(channel.try_receive(), Err(ReceiveError::Closed));
}

#[test]
fn nobody_is_told_of_the_end_while_an_item_may_come_back() {
    // A receiver that has lost its chance, and has waited, is handed the next item.
    let channel = Channel::new(Some(5), OnFull::Block);
    let mut handed = joined(channel.receive());
    channel.try_send(0).unwrap();
    assert_eq!(channel.try_receive(), Ok(0));
    assert_eq!(handed.leave(Parked::Unparked), None);
    thread::sleep(HAND_OFF_AFTER * 2);
    assert!(handed.attempt(&Waiter::new()).is_none());
    channel.try_send(1).unwrap();
    channel.close();
    // The item is the other one's, so this waits for what becomes of it.
    let parked = AtomicUsize::new(0);
    assert_eq!(channel.try_receive(), Err(ReceiveError::Empty));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_counting(channel.receive(), &parked));
        let other = scope.spawn(|| block_counting(channel.receive(), &parked));
        until_parked(&parked, 2);
        assert_eq!(handed.abandon(), None);
        let mut results = [waiting.join().unwrap(), other.join().unwrap()];
        results.sort_by_key(Result::is_err);
        assert_eq!(results, [Ok(1), Err(ReceiveError::Closed)]);
    });
}

#[test]
fn senders_are_received_from_by_ticket_also_after_an_interruption() {
    let channel = rendezvous();
    let mut first = joined(channel.send(1));
    let mut second = joined(channel.send(2));
    // As a main thread does now and then, which looks for signals.
    assert_eq!(first.abandon(), None);
    assert_eq!(first.item(), Some(&1));
    assert!(first.attempt(&Waiter::new()).is_none());
    assert_eq!(channel.try_receive(), Ok(1));
    assert_eq!(channel.try_receive(), Ok(2));
    assert_eq!(first.leave(Parked::Unparked), Some(Ok(None)));
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(None)));
}

#[test]
fn a_full_channel_does_what_it_was_told() {
    let channel = |on_full| {
        let channel = Channel::new(Some(2), on_full);
        channel.try_send(1).unwrap();
        channel.try_send(2).unwrap();
        channel
    };
    let received = |channel: &Channel<i32>| {
        std::iter::from_fn(|| channel.try_receive().ok()).collect::<Vec<_>>()
    };
    let raising = channel(OnFull::Raise);
    assert_eq!(
        block_for_ever(raising.send(3)),
        Err(SendError::Full(3)),
        "it does not wait"
    );
    assert_eq!(received(&raising), [1, 2]);
    let oldest = channel(OnFull::DropOldest);
    assert_eq!(block_for_ever(oldest.send(3)), Ok(Some(1)));
    assert_eq!((received(&oldest), oldest.dropped()), (vec![2, 3], 1));
    let newest = channel(OnFull::DropNewest);
    assert_eq!(block_for_ever(newest.send(3)), Ok(Some(3)));
    assert_eq!((received(&newest), newest.dropped()), (vec![1, 2], 1));
}

#[test]
fn each_subscription_receives_each_item() {
    let broadcast = Arc::new(Broadcast::new(3, OnLag::Block));
    let subscriptions: Vec<_> = (0..4).map(|_| subscribe(&broadcast)).collect();
    thread::scope(|scope| {
        let receivers: Vec<_> = (subscriptions.iter())
            .map(|subscription| {
                scope.spawn(|| {
                    let mut received = Vec::new();
                    while let Ok(item) = block_for_ever(subscription.receive()) {
                        received.push(item);
                    }
                    received
                })
            })
            .collect();
        for item in 0..ITEMS {
            block_for_ever(broadcast.send(item)).unwrap();
        }
        broadcast.close();
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), (0..ITEMS).collect::<Vec<_>>());
        }
    });
    assert!(broadcast.is_empty());
}

#[test]
fn a_slow_subscription_knows_what_it_has_missed() {
    let broadcast = Arc::new(Broadcast::new(2, OnLag::Raise));
    let slow = subscribe(&broadcast);
    for item in 0..5 {
        broadcast.try_send(item).unwrap();
    }
    assert_eq!((slow.missed(), slow.len()), (3, 2));
    assert_eq!(slow.try_receive(), Err(SubscriptionError::Lagged(3)));
    assert_eq!(slow.try_receive(), Ok(3));
    broadcast.try_send(5).unwrap();
    broadcast.try_send(6).unwrap();
    assert_eq!(slow.try_receive(), Err(SubscriptionError::Lagged(1)));
    assert_eq!((slow.try_receive(), slow.try_receive()), (Ok(5), Ok(6)));
    assert_eq!(slow.try_receive(), Err(SubscriptionError::Empty));
    assert_eq!(slow.missed(), 4);
}

#[test]
fn a_closed_subscription_makes_room_for_all_senders() {
    let broadcast = Arc::new(Broadcast::new(1, OnLag::Block));
    let (gone, kept) = (subscribe(&broadcast), subscribe(&broadcast));
    broadcast.try_send(0).unwrap();
    assert_eq!(kept.try_receive(), Ok(0));
    let mut senders: Vec<_> = (1..3).map(|item| joined(broadcast.send(item))).collect();
    drop(gone);
    assert_eq!(kept.try_receive(), Ok(1));
    assert_eq!(kept.try_receive(), Ok(2));
    for sender in &mut senders {
        assert_eq!(sender.leave(Parked::Unparked), Some(Ok(())));
    }
    drop(kept);
    assert!(broadcast.is_empty());
    assert_eq!(broadcast.subscriptions(), 0);
}

#[test]
fn a_sender_that_gives_up_leaves_no_item() {
    let broadcast = Arc::new(Broadcast::new(1, OnLag::Block));
    let subscription = subscribe(&broadcast);
    broadcast.try_send(0).unwrap();
    let mut first = joined(broadcast.send(1));
    let mut second = joined(broadcast.send(2));
    assert_eq!(first.abandon(), None);
    assert_eq!(first.item(), Some(&1));
    assert_eq!(subscription.try_receive(), Ok(0));
    assert_eq!(subscription.try_receive(), Ok(2));
    assert_eq!(second.abandon(), Some(Ok(())));
    assert_eq!(subscription.try_receive(), Err(SubscriptionError::Empty));
}

#[test]
fn threads_that_share_a_subscription_are_all_woken() {
    let broadcast = Arc::new(Broadcast::new(5, OnLag::Raise));
    let subscription = subscribe(&broadcast);
    let mut first = joined(subscription.receive());
    let mut second = joined(subscription.receive());
    broadcast.try_send(1).unwrap();
    assert_eq!(first.abandon(), None);
    assert_eq!(second.leave(Parked::Unparked), Some(Ok(1)));
}

#[test]
fn readers_see_the_last_value() {
    let watch = Arc::new(Watch::new(0));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let reader = Reader::new(Arc::clone(&watch));
                scope.spawn(move || {
                    let mut seen = vec![0];
                    while seen.last() != Some(&ITEMS) {
                        seen.push(block_for_ever(reader.changed()).unwrap());
                    }
                    seen
                })
            })
            .collect();
        for value in 1..=ITEMS {
            watch.set(value).unwrap();
        }
        for reader in readers {
            assert!(reader.join().unwrap().is_sorted_by(|a, b| a < b));
        }
    });
}

#[test]
fn a_change_that_is_given_up_is_still_one() {
    let watch = Arc::new(Watch::new(0));
    let reader = Reader::new(Arc::clone(&watch));
    let mut changed = joined(reader.changed());
    watch.set(1).unwrap();
    assert_eq!(changed.abandon(), None);
    assert!(reader.has_changed());
    assert_eq!(changed.attempt(&Waiter::new()), Some(Ok(1)));
    assert_eq!(reader.try_changed(), Ok(None));
    watch.set(2).unwrap();
    watch.close();
    assert_eq!(watch.set(3), Err(3));
    assert_eq!(watch.set_if(2, 3), Err(3));
    assert_eq!(reader.try_changed(), Ok(Some(2)));
    assert_eq!(block_for_ever(reader.changed()), Err(Closed));
}

#[test]
fn a_value_is_set_only_if_it_is_the_same() {
    let watch = Watch::new(1);
    let (value, version) = watch.get();
    assert_eq!(watch.set_if(version, value + 1), Ok(Ok(1)));
    assert_eq!(watch.set_if(version, 7), Ok(Err(7)));
    assert_eq!(watch.get().0, 2);
}

/// An arm that sends, or receives, of a wait for several channels.
type Arm<'a> = Box<dyn _oxthreads::wait::AnyOperation<Output = Option<usize>> + 'a>;

fn sending(channel: &Channel<usize>, item: usize) -> Arm<'_> {
    Box::new(Converted::new(channel.send(item), |sent: Result<_, _>| {
        sent.unwrap();
        None
    }))
}

fn receiving(channel: &Channel<usize>) -> Arm<'_> {
    Box::new(Converted::new(channel.receive(), |item: Result<_, _>| {
        Some(item.unwrap())
    }))
}

fn select(arms: Vec<Arm<'_>>, first: usize) -> (usize, Option<usize>) {
    block_for_ever(Select::new(arms, first))
}

#[test]
fn waits_that_send_and_receive_take_exactly_one_effect() {
    let channels = [rendezvous(), rendezvous()];
    let [there, back] = &channels;
    let received = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..4 {
            let received = &received;
            scope.spawn(move || {
                for round in 0..500 {
                    let (to, from) = if number % 2 == 0 {
                        (there, back)
                    } else {
                        (back, there)
                    };
                    let arms = vec![sending(to, round), receiving(from)];
                    match select(arms, number / 2) {
                        (0, None) => {}
                        (1, Some(_)) => {
                            received.fetch_add(1, Ordering::SeqCst);
                        }
                        other => unreachable!("{other:?}"),
                    }
                }
            });
        }
    });
    // Each meeting is of one that sends and one that receives.
    assert_eq!(received.load(Ordering::SeqCst), 1_000);
    assert!(
        channels
            .iter()
            .all(|channel| channel.try_receive().is_err())
    );
}

#[test]
fn a_wait_does_not_meet_itself() {
    let channel = rendezvous();
    let parked = AtomicUsize::new(0);
    for first in [0, 1] {
        let mut both = Select::new(vec![sending(&channel, 1), receiving(&channel)], first);
        assert!(matches!(drive(&mut both, soon(), sleep), Wait::TimedOut));
    }
    thread::scope(|scope| {
        let both = scope.spawn(|| {
            let select = Select::new(vec![receiving(&channel), sending(&channel, 1)], 0);
            block_counting(select, &parked)
        });
        until_parked(&parked, 1);
        // It is not woken by its own sender, so it sleeps only once.
        assert_eq!(block_for_ever(channel.receive()), Ok(1));
        assert_eq!(both.join().unwrap(), (1, None));
        assert_eq!(parked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_sender_of_a_wait_for_several_is_final() {
    let (first, second) = (rendezvous(), rendezvous());
    let mut select = Select::new(vec![sending(&first, 1), sending(&second, 2)], 0);
    let outcome = drive(&mut select, Deadline::NEVER, |_, _| {
        assert_eq!(first.try_receive(), Ok(1));
        assert_eq!(second.try_receive(), Err(ReceiveError::Empty));
        Parked::Raising
    });
    // What was received counts, also if the thread is about to raise.
    assert_eq!(outcome, Wait::Ready((0, None)));
}

#[test]
fn what_can_be_undone_is_attempted_before_what_cannot() {
    let (meeting, items) = (rendezvous(), Channel::new(Some(1), OnFull::Block));
    items.try_send(5).unwrap();
    let attempts = Cell::new(0);
    struct Counting<'a>(channel::Sending<&'a Channel<usize>, usize>, &'a Cell<usize>);
    impl Operation for Counting<'_> {
        type Output = Option<usize>;
        fn is_final(&self) -> bool {
            Operation::is_final(&self.0)
        }
        fn resource(&self) -> _oxthreads::wait::observe::Resource {
            Operation::resource(&self.0)
        }
        fn attempt(&mut self, waiter: &Arc<Waiter>) -> Option<Option<usize>> {
            self.1.set(self.1.get() + 1);
            Operation::attempt(&mut self.0, waiter).map(|_| None)
        }
        fn leave(&mut self, parked: Parked) -> Option<Option<usize>> {
            Operation::leave(&mut self.0, parked).map(|_| None)
        }
        fn abandon(&mut self) -> Option<Option<usize>> {
            Operation::abandon(&mut self.0).map(|_| None)
        }
    }
    let final_arm: Arm<'_> = Box::new(Counting(meeting.send(1), &attempts));
    assert_eq!(select(vec![final_arm, receiving(&items)], 0), (1, Some(5)));
    assert_eq!(attempts.get(), 0);
}

#[test]
fn a_wait_for_two_channels_takes_from_one() {
    let channels = [rendezvous(), rendezvous()];
    let [first, second] = &channels;
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut received = Vec::new();
            for _ in 0..ITEMS {
                match either(first.receive(), second.receive(), Deadline::NEVER) {
                    Some(Either::First(item) | Either::Second(item)) => {
                        received.push(item.unwrap());
                    }
                    None => unreachable!("no deadline"),
                }
            }
            received
        });
        for (number, channel) in channels.iter().enumerate() {
            scope.spawn(move || {
                for item in (number..ITEMS).step_by(2) {
                    block_for_ever(channel.send(item)).unwrap();
                }
            });
        }
        let mut received = receiver.join().unwrap();
        received.sort_unstable();
        assert_eq!(received, (0..ITEMS).collect::<Vec<_>>());
    });
    spin_until(|| channels.iter().all(Channel::is_empty));
}
