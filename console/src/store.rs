//! Where the resources are that the admin API shows and changes.
