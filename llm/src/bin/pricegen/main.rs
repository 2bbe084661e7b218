//! Writes `src/price/table.rs` from `data/`: `pricegen` does it, `pricegen --check` says whether it is up to date.
//!
//! ```text
//! data/prices.jsonl ─┐
//!                    ├─ correct ─▶ check (odd rows must be corrected or kept on purpose) ─▶ merge names ─▶ table.rs
//! data/corrections.jsonl ─┘
//! ```

use std::{error::Error, fs, path::Path, process::ExitCode};

mod check;
mod correct;
mod render;
mod source;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let prices = fs::read_to_string(root.join("data/prices.jsonl"))?;
    let corrections = fs::read_to_string(root.join("data/corrections.jsonl"))?;
    let table = generate(&prices, &corrections)?;
    let path = root.join("src/price/table.rs");
    if std::env::args().nth(1).as_deref() != Some("--check") {
        fs::write(path, table)?;
        return Ok(ExitCode::SUCCESS);
    }
    if fs::read_to_string(path).is_ok_and(|found| found == table) {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("llm/src/price/table.rs is not what llm/data gives: run `make generate`");
    Ok(ExitCode::FAILURE)
}

fn generate(prices: &str, corrections: &str) -> Result<String, Box<dyn Error>> {
    let mut corrections = correct::Corrections::parse(corrections)?;
    let mut rows = Vec::new();
    let mut odd = Vec::new();
    for line in prices.lines() {
        let Some((row, kept)) = corrections.apply(serde_json::from_str(line)?)? else {
            continue;
        };
        if !row.is_priced() {
            continue;
        }
        odd.extend(
            check::oddities(&row)
                .into_iter()
                .filter(|(rule, _)| !kept.contains(*rule))
                .map(|(rule, what)| format!("{:?} {}: {rule}: {what}", row.provider, row.model)),
        );
        rows.push(row);
    }
    odd.extend(corrections.unused());
    if !odd.is_empty() {
        let list = odd.join("\n");
        return Err(format!("settle these in llm/data/corrections.jsonl:\n{list}").into());
    }
    render::table(rows)
}
