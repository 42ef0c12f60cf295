//! Items and feeds through folds.
