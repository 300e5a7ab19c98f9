//! Cycles among the locks that threads have acquired while they held others.
#![cfg(not(loom))]

use std::collections::HashMap;
use std::sync::Arc;

use _oxthreads::diagnostics::order::graph::{Graph, MOST_TAKES, Moment, Step, Take};
use _oxthreads::diagnostics::sleepers::Scene;

/// A take of a thread that has not waited for any other.
fn take(thread: u32, held: &[usize]) -> Take {
    take_at(thread, 1, &[], held)
}

/// The same in a later segment, before which these segments of other threads were over.
fn take_at(thread: u32, segment: u32, before: &[(u32, u32)], held: &[usize]) -> Take {
    let mut held = held.to_vec();
    held.sort_unstable();
    Take {
        moment: Moment {
            thread,
            segment,
            before: Arc::new(before.iter().copied().collect::<HashMap<_, _>>()),
        },
        held: held.into(),
        scene: Arc::new(Scene::default()),
        first: None,
    }
}

/// Adds takes that hold only the first lock: the thread, the first lock, and the second. Returns the cycle of the last one.
fn add(graph: &mut Graph, takes: &[(u32, usize, usize)]) -> Option<Vec<usize>> {
    let mut found = None;
    for (thread, first, second) in takes {
        found = graph.add(*first, *second, take(*thread, &[*first]));
    }
    found.map(|steps| locks(&steps))
}

fn locks(steps: &[Step]) -> Vec<usize> {
    for (number, step) in steps.iter().enumerate() {
        assert_eq!(step.second, steps[(number + 1) % steps.len()].first);
    }
    steps.iter().map(|step| step.first).collect()
}

#[test]
fn two_orders_are_a_cycle() {
    let mut graph = Graph::default();
    assert_eq!(
        add(&mut graph, &[(1, 10, 20), (2, 20, 10)]),
        Some(vec![20, 10])
    );
    assert_eq!(graph.len(), 2);
}

#[test]
fn a_cycle_is_found_once() {
    let mut graph = Graph::default();
    assert!(add(&mut graph, &[(1, 10, 20), (2, 20, 10)]).is_some());
    assert_eq!(add(&mut graph, &[(3, 20, 10)]), None);
    assert_eq!(add(&mut graph, &[(4, 10, 20)]), None);
}

#[test]
fn the_shortest_cycle_is_found() {
    let mut graph = Graph::default();
    let long = [(1, 20, 30), (2, 30, 40), (3, 40, 10), (4, 20, 10)];
    assert_eq!(add(&mut graph, &long), None);
    assert_eq!(add(&mut graph, &[(5, 10, 20)]), Some(vec![10, 20]));
}

#[test]
fn a_cycle_of_three_needs_three_threads() {
    let mut graph = Graph::default();
    assert_eq!(
        add(&mut graph, &[(1, 10, 20), (2, 20, 30), (1, 30, 10)]),
        None
    );
    assert_eq!(add(&mut graph, &[(3, 30, 10)]), Some(vec![30, 10, 20]));
}

#[test]
fn a_gate_that_two_of_three_hold_is_enough() {
    let gate = 1;
    let mut graph = Graph::default();
    graph.add(10, 20, take(1, &[gate, 10]));
    graph.add(20, 30, take(2, &[20, gate]));
    assert!(graph.add(30, 10, take(3, &[30])).is_none());
    let steps = graph.add(20, 30, take(4, &[20])).unwrap();
    assert_eq!(locks(&steps), [20, 30, 10]);
}

#[test]
fn what_was_over_before_is_not_beside() {
    let mut graph = Graph::default();
    graph.add(10, 20, take_at(1, 3, &[], &[10]));
    assert!(graph.add(20, 10, take_at(2, 1, &[(1, 3)], &[20])).is_none());
    // The first thread goes on, beside the second.
    assert!(graph.add(10, 20, take_at(1, 4, &[], &[10])).is_some());
}

#[test]
fn a_lock_that_is_gone_is_forgotten() {
    let mut graph = Graph::default();
    add(&mut graph, &[(1, 10, 20), (1, 20, 30), (1, 30, 10)]);
    assert!(graph.remove(20));
    assert!(!graph.remove(20));
    assert_eq!(graph.len(), 1);
    assert_eq!(add(&mut graph, &[(2, 20, 10)]), None);
    // Another lock with that address makes another cycle.
    assert_eq!(add(&mut graph, &[(1, 10, 20)]), Some(vec![10, 20]));
    graph.remove(20);
    assert_eq!(
        add(&mut graph, &[(2, 20, 10), (1, 10, 20)]),
        Some(vec![10, 20])
    );
}

#[test]
fn a_signal_is_in_no_cycle() {
    let mut graph = Graph::default();
    add(&mut graph, &[(1, 10, 20)]);
    assert!(graph.is_signal(20));
    assert!(!graph.is_signal(20));
    assert!(graph.is_empty());
    assert_eq!(add(&mut graph, &[(1, 10, 20), (2, 20, 10)]), None);
    assert!(graph.is_empty());
    assert!(graph.unknown(&take(1, &[]).moment, &[20], 10).is_empty());
    graph.remove(20);
    assert!(add(&mut graph, &[(1, 10, 20), (2, 20, 10)]).is_some());
}

#[test]
fn what_is_known_is_not_asked_for_again() {
    let mut graph = Graph::default();
    let known = take(1, &[5, 10]);
    graph.add(10, 20, known.clone());
    assert_eq!(graph.unknown(&known.moment, &[10, 5], 20), [5]);
    assert_eq!(graph.unknown(&known.moment, &[10], 20), [10]);
    assert_eq!(graph.unknown(&take(2, &[]).moment, &[10, 5], 20), [10, 5]);
    // A lock is not before itself.
    assert!(graph.unknown(&known.moment, &[20], 20).is_empty());
}

#[test]
fn many_threads_at_one_place_take_little_room() {
    let mut graph = Graph::default();
    for thread in 1..=1000 {
        graph.add(10, 20, take(thread, &[10]));
    }
    assert!(graph.len() <= 4);
    assert_eq!(graph.dropped(), 0);
    assert!(graph.add(20, 10, take(1000, &[20])).is_some());
}

#[test]
fn the_room_is_limited() {
    let mut graph = Graph::default();
    for first in 1..=MOST_TAKES {
        graph.add(first, first + 1, take(1, &[first]));
    }
    assert_eq!((graph.len(), graph.dropped()), (MOST_TAKES, 0));
    assert!(graph.add(2, 1, take(2, &[2])).is_none());
    assert_eq!((graph.len(), graph.dropped()), (MOST_TAKES, 1));
    graph.remove(MOST_TAKES);
    assert!(graph.add(2, 1, take(2, &[2])).is_some());
}

#[test]
fn a_dense_graph_without_a_cycle_is_searched_quickly() {
    let mut graph = Graph::default();
    for first in 0..60 {
        for second in first + 1..60 {
            for thread in 1..=4 {
                assert!(graph.add(first, second, take(thread, &[first])).is_none());
            }
        }
    }
    let steps = graph.add(59, 0, take(9, &[59])).unwrap();
    assert_eq!(locks(&steps), [59, 0]);
}

/// All cycles of a small graph, found by trying everything.
fn has_cycle(takes: &[(usize, usize, Take)], path: &mut Vec<usize>) -> bool {
    let (first, last) = (&takes[path[0]], &takes[path[path.len() - 1]]);
    if last.1 == first.0 && path.len() > 1 {
        return true;
    }
    for (number, next) in takes.iter().enumerate() {
        let fits = next.0 == last.1
            && path.iter().all(|each| {
                let other = &takes[*each].2;
                other.moment.thread != next.2.moment.thread
                    && other.held.iter().all(|lock| !next.2.held.contains(lock))
            });
        if fits {
            path.push(number);
            if has_cycle(takes, path) {
                return true;
            }
            path.pop();
        }
    }
    false
}

#[test]
fn random_graphs_have_a_cycle_exactly_if_one_is_found() {
    let mut random = 12_345_u64;
    let mut pick = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    let mut outcomes = [0, 0];
    for _ in 0..3000 {
        let mut graph = Graph::default();
        let mut takes = Vec::new();
        let mut found = false;
        for _ in 0..pick(9) + 2 {
            let (first, second, other) = (pick(5), pick(5), pick(12));
            let mut held = vec![first];
            if other < 5 && other != first && other != second {
                held.push(other);
            }
            if first != second {
                let take = take(u32::try_from(pick(3) + 1).unwrap(), &held);
                found |= graph.add(first, second, take.clone()).is_some();
                takes.push((first, second, take));
            }
        }
        let expected = (0..takes.len()).any(|start| has_cycle(&takes, &mut vec![start]));
        assert_eq!(found, expected, "{takes:?}");
        outcomes[usize::from(expected)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
}
