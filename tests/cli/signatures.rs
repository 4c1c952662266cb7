//! Our signatures, trust rules and keys against the real `ssh-keygen`: every case is put to both, and where we are stricter on
//! purpose, the case says so.

mod keys;
mod made;
mod rig;
mod trust;
mod vectors;
mod verdicts;
