//! Prices: the formula, the built-in table, and the text of amounts.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod prices {
    mod formula;
    mod services;
    mod table;
    mod text;
    mod worst;
}
