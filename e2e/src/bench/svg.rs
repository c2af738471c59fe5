//! Draws bar charts as SVG: text, so that a change of a figure is a readable change of a file.

use std::fmt::Write as _;

/// A chart of horizontal bars.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// What is compared, for people who cannot see it.
    pub(super) description: &'a str,
    pub(super) bars: Vec<Bar>,
    /// Small print below the bars.
    pub(super) footer: String,
}

#[derive(Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    /// The value with its unit.
    pub(super) text: String,
    /// Drawn as a line across the bar.
    pub(super) goal: Option<f64>,
    pub(super) is_missed: bool,
}

const WIDTH: u32 = 720;
/// Room for labels: about 40 letters of 13 pixels.
const BARS_X: f64 = 290.0;
/// The longest bar leaves room for its text.
const BARS_WIDTH: f64 = 240.0;
const TOP: u32 = 48;
const ROW: u32 = 28;
const BAR: u32 = 18;

/// Colours with a contrast of 4.5 and more to the text's ground, for light pages and dark ones.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1d2230}\
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#5b6172}\
.ground{fill:#fff}.bar{fill:#2f6f8f}.missed{fill:#b3261e}.goal{stroke:#1d2230;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#eceef2}.small{fill:#a3abba}.ground{fill:#12151b}\
.bar{fill:#5fa8c8}.missed{fill:#ff8f85}.goal{stroke:#eceef2}}";

impl Chart<'_> {
    /// The chart as an SVG document.
    pub(super) fn draw(&self) -> String {
        let rows = u32::try_from(self.bars.len()).unwrap_or(u32::MAX);
        let height = TOP.saturating_add(ROW.saturating_mul(rows)).saturating_add(34);
        let (title, description) = (escaped(self.title), escaped(self.description));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title text\">\n\
             <title id=\"title\">{title}</title>\n<desc id=\"text\">{description} {values}</desc>\n\
             <style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"10\"/>\n\
             <text class=\"title\" x=\"16\" y=\"28\">{title}</text>\n",
            values = escaped(&self.values())
        );
        let longest = self.bars.iter().flat_map(|bar| [Some(bar.value), bar.goal]).flatten();
        let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
        let mut y = TOP;
        for bar in &self.bars {
            bar.draw(&mut svg, y, BARS_WIDTH / longest);
            y += ROW;
        }
        let footer = escaped(&self.footer);
        // Writing into a String cannot fail.
        let _ = write!(
            svg,
            "<text class=\"small\" x=\"16\" y=\"{}\">{footer}</text>\n</svg>\n",
            y + 18
        );
        svg
    }

    /// All figures in words.
    fn values(&self) -> String {
        let bars = self.bars.iter().map(|bar| format!("{}: {}", bar.label, bar.text));
        bars.collect::<Vec<_>>().join("; ") + "."
    }
}

impl Bar {
    fn draw(&self, svg: &mut String, y: u32, scale: f64) {
        let class = if self.is_missed { "missed" } else { "bar" };
        let (width, baseline) = ((self.value * scale).max(1.0), y + 14);
        let mut end = BARS_X + width;
        let _ = write!(
            svg,
            "<text x=\"{label_x}\" y=\"{baseline}\" text-anchor=\"end\">{label}</text>\n\
             <rect class=\"{class}\" x=\"{BARS_X}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{BAR}\" rx=\"3\"/>\n",
            label_x = BARS_X - 10.0,
            label = escaped(&self.label)
        );
        if let Some(goal) = self.goal {
            let x = BARS_X + goal * scale;
            end = end.max(x);
            let (from, to) = (y.saturating_sub(2), y + BAR + 2);
            let _ = writeln!(
                svg,
                "<line class=\"goal\" x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\"/>"
            );
        }
        let missed = if self.is_missed { ", goal missed" } else { "" };
        let text = escaped(&self.text);
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{baseline}\">{text}{missed}</text>", end + 8.0);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(value: f64, goal: Option<f64>, is_missed: bool) -> Bar {
        Bar { label: "a <b>".to_owned(), value, text: format!("{value} ms"), goal, is_missed }
    }

    fn drawn(bars: Vec<Bar>) -> String {
        Chart { title: "T & T", description: "What.", bars, footer: "where".to_owned() }.draw()
    }

    #[test]
    fn the_longest_bar_or_goal_fills_the_width_and_others_are_to_scale() {
        let svg = drawn(vec![bar(50.0, None, false), bar(25.0, Some(100.0), false)]);
        assert!(svg.contains("width=\"120.0\""), "{svg}");
        assert!(svg.contains("width=\"60.0\""), "{svg}");
        assert!(svg.contains("x1=\"530.0\""), "{svg}");
    }

    #[test]
    fn it_can_be_read_by_people_who_do_not_see_it() {
        let svg = drawn(vec![bar(50.0, None, false)]);
        assert!(svg.contains("<title id=\"title\">T &amp; T</title>"), "{svg}");
        assert!(svg.contains("What. a &lt;b&gt;: 50 ms.</desc>"), "{svg}");
    }

    #[test]
    fn a_missed_goal_is_said_in_colour_and_in_words() {
        let svg = drawn(vec![bar(50.0, Some(40.0), true)]);
        assert!(svg.contains("class=\"missed\"") && svg.contains("goal missed"), "{svg}");
    }

    #[test]
    fn nothing_measured_draws_no_bar_and_no_infinite_number() {
        for svg in [drawn(Vec::new()), drawn(vec![bar(0.0, None, false)])] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
