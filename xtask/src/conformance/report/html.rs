//! A report as one HTML page without anything from elsewhere.

use std::fmt::Write as _;

use super::{Report, Word};
use crate::conformance::story::Strength;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:left}\
td.n{text-align:right;font-variant-numeric:tabular-nums}.passed{color:#176f2c}.failed{color:#b3261e;font-weight:600}.skipped{color:#6b6b6b}\
pre{background:#f5f5f5;padding:.7rem;overflow:auto;white-space:pre-wrap}summary{cursor:pointer}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}td,th{border-color:#444}.passed{color:#7bd38e}.failed{color:#ff8a80}}";

pub(super) fn page(report: &Report) -> String {
    let title = escaped(&report.target);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Conformance of {title}</title><style>{STYLE}</style></head><body>\n<h1>Conformance of {title}</h1>\n"
    );
    let all = report.count(None, None);
    let _ = writeln!(
        page,
        "<p>{} checks: <span class=passed>{} passed</span>, <span class=failed>{} failed</span>, \
         <span class=skipped>{} skipped</span>.</p>",
        all.total(),
        all.passed,
        all.failed,
        all.skipped
    );
    if report.unseen() > 0 {
        let _ = writeln!(
            page,
            "<p>Of {} that passed, what they say of the session itself could not be seen.</p>",
            report.unseen()
        );
    }
    areas(&mut page, report);
    failures(&mut page, report);
    everything(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

fn areas(page: &mut String, report: &Report) {
    page.push_str("<table><tr><th>area");
    for strength in Strength::ALL {
        let _ = write!(page, "<th>{}: passed<th>failed<th>skipped", strength.name());
    }
    page.push_str("</tr>\n");
    let areas = report.areas().into_iter().map(Some).chain([None]);
    for area in areas {
        let _ = write!(page, "<tr><td>{}", area.map_or_else(|| "<b>all</b>".to_owned(), escaped));
        for strength in Strength::ALL {
            let counts = report.count(area, Some(strength));
            let failed = if counts.failed > 0 { " failed" } else { "" };
            let _ = write!(
                page,
                "<td class=n>{}<td class=\"n{failed}\">{}<td class=n>{}",
                counts.passed, counts.failed, counts.skipped
            );
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn failures(page: &mut String, report: &Report) {
    for (at, (row, fault)) in report.failures().enumerate() {
        if at == 0 {
            page.push_str("<h2>Failed</h2>\n");
        }
        let _ = writeln!(
            page,
            "<h3 class=failed>{}</h3>\n<p>{}. <b>{}</b>, {}</p>\n<pre>line {}: {}\n{}\n  expected: {}\n  received: {}</pre>",
            escaped(&row.name),
            escaped(&row.title),
            escaped(&fault.rule),
            row.strength.name(),
            fault.line,
            escaped(&fault.step),
            escaped(&fault.who),
            escaped(&fault.expected),
            escaped(&fault.received)
        );
    }
}

fn everything(page: &mut String, report: &Report) {
    page.push_str("<details><summary>Every check</summary>\n<table><tr><th>check<th>what is right<th>rules<th>level<th>result</tr>\n");
    for row in &report.rows {
        let (class, text) = match row.result {
            Word::Passed => ("passed", "passed".to_owned()),
            Word::Failed => ("failed", "failed".to_owned()),
            Word::Skipped => ("skipped", format!("skipped: {}", row.reason.as_deref().unwrap_or_default())),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td class={class}>{}</tr>",
            escaped(&row.name),
            escaped(&row.title),
            escaped(&row.rules.join(" ")),
            row.strength.name(),
            escaped(&text)
        );
    }
    page.push_str("</table></details>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
