//! `mpac-ws backup`.
