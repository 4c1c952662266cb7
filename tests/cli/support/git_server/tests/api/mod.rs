//! The REST API answers as GitLab's.

mod clients;
mod deployments;
mod description;
mod issues;
mod merge_requests;
mod releases;
mod repository;
mod tokens;

use clients::Client;
