//! After a fork: the child records nothing of its own accord, and forgets what it inherited.
