//! The scaling chart: one panel a dimension, one line a bus, both axes logarithmic.
//!
//! Costs are drawn as multiples of our own at a dimension's first point, since absolute times mean
//! nothing beyond one run. Colours hold on a light and on a dark page; every line is named at the
//! last point that it has, so that none depends on its colour alone.

use crate::peers::Kind;
use crate::rounds::{Plan, Results};
use crate::scaling::Dimension;

const PANEL_WIDTH: f64 = 420.0;
const PANEL_HEIGHT: f64 = 260.0;
const COLUMNS: usize = 2;
/// Around the plotted area of a panel; names of lines stand to the right.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 92.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// Pixels between the names of two lines.
const NAME_GAP: f64 = 13.0;
const INK: &str = "#7a7f87";

/// The chart as SVG.
pub(crate) fn to_svg(plan: &Plan, results: &Results) -> String {
    let rows = plan.dimensions.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL_WIDTH * COLUMNS as f64, PANEL_HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\" \
         fill=\"{INK}\">\n<title>Cost of a message as the bus fills</title>\n"
    );
    for (index, dimension) in plan.dimensions.iter().enumerate() {
        let x = PANEL_WIDTH * (index % COLUMNS) as f64;
        let y = PANEL_HEIGHT * (index / COLUMNS) as f64;
        let panel = Panel::new(dimension, plan, results);
        svg.push_str(&format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", panel.to_svg()));
    }
    svg.push_str("</svg>\n");
    svg
}

/// A point's number and cost.
type Point = (f64, f64);

/// One dimension with the lines of all buses.
struct Panel<'r> {
    dimension: &'r Dimension,
    lines: Vec<(Kind, Vec<Point>)>,
    /// The least and the greatest cost, as powers of ten.
    decades: (i32, i32),
}

impl<'r> Panel<'r> {
    fn new(dimension: &'r Dimension, plan: &Plan, results: &Results) -> Self {
        let cost = |kind, point| results.growth.cost(dimension, kind, point);
        let first = dimension.points.first().copied().unwrap_or(1);
        let unit = cost(Kind::Ours, first).unwrap_or(1.0);
        let line = |kind| -> Vec<Point> {
            let points = dimension.points.iter();
            points.filter_map(|point| Some((*point as f64, cost(kind, *point)? / unit))).collect()
        };
        let buses = plan.peers.iter().map(|peer| peer.kind).filter(|kind| kind.is_bus());
        let lines: Vec<_> = buses.map(|kind| (kind, line(kind))).collect();
        let costs = lines.iter().flat_map(|(_, line)| line).map(|(_, cost)| cost.log10());
        let (low, high) =
            costs.fold((0.0_f64, 0.0_f64), |(low, high), cost| (low.min(cost), high.max(cost)));
        let decades = (low.floor() as i32, (high.ceil() as i32).max(low.floor() as i32 + 1));
        Self { dimension, lines, decades }
    }

    fn to_svg(&self) -> String {
        let mut svg = format!(
            "<text x=\"{LEFT}\" y=\"18\" font-size=\"13\" font-weight=\"bold\">{}</text>\n",
            self.dimension.title
        );
        svg.push_str(&self.grid());
        for (kind, line) in &self.lines {
            svg.push_str(&self.line(*kind, line));
        }
        svg.push_str(&self.names());
        svg
    }

    fn grid(&self) -> String {
        let (right, bottom) = (PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM);
        let mut svg = String::new();
        for decade in self.decades.0..=self.decades.1 {
            let cost = 10_f64.powi(decade);
            let y = self.y(cost);
            svg.push_str(&format!(
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"{INK}\" stroke-opacity=\"0.3\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{cost} ×</text>\n",
                LEFT - 6.0,
                y + 4.0
            ));
        }
        for point in self.dimension.points {
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                self.x(*point as f64),
                bottom + 16.0,
                grouped(*point)
            ));
        }
        svg
    }

    fn line(&self, kind: Kind, line: &[Point]) -> String {
        let width = if kind == Kind::Ours { 3 } else { 1 };
        let points: Vec<String> = line
            .iter()
            .map(|(number, cost)| format!("{:.1},{:.1}", self.x(*number), self.y(*cost)))
            .collect();
        format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"/>\n",
            points.join(" "),
            colour(kind)
        )
    }

    /// The lines' names at their ends, moved apart where they would overlap.
    fn names(&self) -> String {
        let ends = self.lines.iter().filter_map(|(kind, line)| Some((*kind, *line.last()?)));
        let mut ends: Vec<(Kind, f64, f64)> =
            ends.map(|(kind, (number, cost))| (kind, self.x(number), self.y(cost))).collect();
        ends.sort_by(|one, other| one.2.total_cmp(&other.2));
        let (mut svg, mut free_from) = (String::new(), TOP);
        for (kind, x, y) in ends {
            let y = y.max(free_from);
            free_from = y + NAME_GAP;
            svg.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\">{}</text>\n",
                x + 6.0,
                y + 4.0,
                colour(kind),
                kind.label()
            ));
        }
        svg
    }

    fn x(&self, number: f64) -> f64 {
        let first = self.dimension.points.first().map_or(0.0, |point| (*point as f64).log10());
        let last = self.dimension.points.last().map_or(1.0, |point| (*point as f64).log10());
        LEFT + (number.log10() - first) / (last - first) * (PANEL_WIDTH - LEFT - RIGHT)
    }

    fn y(&self, cost: f64) -> f64 {
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let height = PANEL_HEIGHT - TOP - BOTTOM;
        TOP + (high - cost.log10()) / (high - low) * height
    }
}

const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "#d1495b",
        Kind::OtherBuild => "#8a8a8a",
        Kind::DbusBroker => "#3d7dca",
        Kind::DbusDaemon => "#3a9b6b",
        _ => "#b07d1e",
    }
}

/// A number with a comma before every three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
