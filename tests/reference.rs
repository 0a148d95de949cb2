//! The pages of `docs/reference` are what the code says.
//!
//! Each page is made anew here and compared with the one in the repository; `make reference`
//! writes them.

mod api;
mod command_line;
mod configuration;
mod denials;
mod described;
mod metrics;

/// A page: how it begins, and that nobody edits it by hand.
fn page(title: &str, about: &str) -> String {
    format!("# {title}\n\n<!-- Generated from the code by `make reference`. -->\n\n{about}\n")
}

/// A row of a table. A bar in a cell would end it.
fn row<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    let cells = cells.into_iter().map(|cell| cell.as_ref().replace('|', "\\|"));
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// The head of a table.
fn head<const N: usize>(columns: [&str; N]) -> String {
    format!("\n{}{}", row(columns), row(["---"; N]))
}
