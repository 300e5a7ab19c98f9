//! Parts of a program that end together: cancel scopes, and groups of tasks.
//!
//! * `scope`: `CancelScope`, which ends the waits of what is inside.
//! * `group`: `TaskGroup`, whose tasks end before it does.
//! * `sleeping`: `sleep` and `check_cancelled`.

mod group;
mod scope;
mod sleeping;

pub(crate) use group::{TaskGroup, task_groups};
pub(crate) use scope::{CancelScope, scope_after};
pub(crate) use sleeping::{check_cancelled, is_in_scope, sleep};

use crate::bindings::runtime::lazy::Imports;

/// What the classes here look up.
pub(crate) const IMPORTS: &[Imports] = &[scope::IMPORTS, group::IMPORTS];
