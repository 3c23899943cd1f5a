//! The chart of the engines: a bar for each case, as long as it is faster than QEMU, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 14.0;
const STEP: f64 = 20.0;

/// Draws the rows: group, case, and how many times as fast as QEMU. The scale is logarithmic, so that half as fast is as
/// far from QEMU as twice as fast.
pub(crate) fn svg(rows: &[(&str, String, f64)]) -> String {
    let logarithms = || rows.iter().map(|row| row.2.max(f64::MIN_POSITIVE).log2());
    let low = logarithms().fold(-1.0, f64::min).floor();
    let high = logarithms().fold(1.0, f64::max).ceil();
    let x = |ratio: f64| LEFT + (ratio.max(f64::MIN_POSITIVE).log2() - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let mut groups: Vec<&str> = rows.iter().map(|row| row.0).collect();
    groups.dedup();
    let height = 56.0 + STEP * (rows.len() + groups.len()) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">How many times as fast as QEMU (longer is better)</text>\n"
    );
    for power in low as i32..=high as i32 {
        let (at, ratio) = (x(f64::from(power).exp2()), f64::from(power).exp2());
        let colour = if power == 0 { "#444" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"28\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            height - 22.0
        );
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ratio}x</text>", height - 8.0);
    }
    let (mut y, mut before) = (32.0, "");
    for (group, name, ratio) in rows {
        if *group != before {
            before = group;
            let _ = writeln!(svg, "<text x=\"8\" y=\"{:.1}\" font-weight=\"bold\">{}</text>", y + 12.0, escaped(group));
            y += STEP;
        }
        let (from, to) = (x(1.0).min(x(*ratio)), x(1.0).max(x(*ratio)));
        let colour = if *ratio < 1.0 { "#c0504d" } else { "#4f81bd" };
        let text = y + 11.0;
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, escaped(name));
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
            to - from
        );
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{text:.1}\">{ratio:.2}</text>", to + 5.0);
        y += STEP;
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_bar_on_its_side_of_qemu() {
        let rows = [("kernels", "fast".to_owned(), 4.0), ("programs", "a < b".to_owned(), 0.5)];
        let svg = svg(&rows);
        let bars: Vec<&str> = svg.lines().filter(|line| line.contains("height=\"14\"")).collect();
        assert_eq!(bars.len(), 2);
        let number = |line: &str, name: &str| -> f64 {
            let rest = line.split_once(&format!(" {name}=\"")).unwrap().1;
            rest.split('"').next().unwrap().parse().unwrap()
        };
        // From half to four times there are three steps of the scale: two on one side, one on the other.
        assert_eq!(number(bars[0], "x"), number(bars[1], "x") + number(bars[1], "width"));
        assert!((number(bars[0], "width") - 2.0 * number(bars[1], "width")).abs() < 0.2);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
    }
}
