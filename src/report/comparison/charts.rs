//! The charts of a comparison as Plotly figures.

use plotly::common::{
    Anchor, DashType, ErrorData, ErrorType, HoverInfo, Line, Marker, MarkerSymbol, Mode,
    Orientation,
};
use plotly::layout::{
    Axis, AxisRange, AxisType, Layout, Legend, Margin, Shape, ShapeLayer, ShapeLine, ShapeType,
};
use plotly::{Plot, Scatter};

use super::each_once;
use crate::compare::{CaseFinding, Comparison, Finding, Verdict};
use crate::model::{Case, Histogram, Metric};
use crate::report::DistributionPair;
use crate::report::charts::figure;
use crate::report::findings::{change_text, interval_text};
use crate::stats::Pool;
use crate::units::{Nanos, percent};

/// The changes of all cases in one metric.
pub(super) struct IntervalChart {
    /// The metric's name.
    pub metric: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How to read it, and how many cases are not drawn.
    pub caption: String,
    /// The Plotly figure as JSON, safe inside a script element.
    pub figure: String,
    /// Whether it is the one that is drawn first.
    pub is_chosen: bool,
}

/// The latencies of one case on both sides.
pub(super) struct DistributionChart {
    /// Its element's id.
    pub id: String,
    /// The case.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The Plotly figure as JSON, safe inside a script element.
    pub figure: String,
}

/// The style of a verdict: colour (Okabe and Ito 2008, *Color Universal Design*) and shape.
const STYLES: [(Verdict, &str, MarkerSymbol); 4] = [
    (Verdict::Regressed, "#d55e00", MarkerSymbol::Square),
    (Verdict::Improved, "#0072b2", MarkerSymbol::Diamond),
    (Verdict::Equivalent, "#009e73", MarkerSymbol::Circle),
    (Verdict::Inconclusive, "#888888", MarkerSymbol::CircleOpen),
];
/// Height of one case in a chart, in pixels.
const CASE_HEIGHT: usize = 24;

/// A chart of intervals for each metric that has some.
pub(super) fn interval_charts(comparison: &Comparison) -> Vec<IntervalChart> {
    let metrics = each_once(comparison.cases.iter().map(|one| one.finding.metric));
    let changes = |metric: Metric| {
        let own = comparison.cases.iter().filter(|one| one.finding.metric == metric);
        own.filter(|one| one.finding.verdict.is_change()).count()
    };
    let mut charts: Vec<(Metric, IntervalChart)> = metrics
        .into_iter()
        .filter_map(|metric| Some((metric, interval_chart(metric, comparison)?)))
        .collect();
    // The first of those with the most changes.
    let most = charts.iter().rev().map(|(metric, _)| *metric).max_by_key(|&metric| changes(metric));
    let is_p95_there = charts.iter().any(|(metric, _)| *metric == Metric::P95);
    let chosen = match most {
        Some(metric) if changes(metric) == 0 && is_p95_there => Some(Metric::P95),
        most => most,
    };
    for (metric, chart) in &mut charts {
        chart.is_chosen = Some(*metric) == chosen;
    }
    charts.into_iter().map(|(_, chart)| chart).collect()
}

/// A case in a chart of intervals.
struct Point<'a> {
    one: &'a CaseFinding,
    name: String,
    /// Its position on the vertical axis.
    place: f64,
}

fn interval_chart(metric: Metric, comparison: &Comparison) -> Option<IntervalChart> {
    let own: Vec<&CaseFinding> =
        comparison.cases.iter().filter(|one| one.finding.metric == metric).collect();
    let all: Vec<&Case> = own.iter().map(|one| &one.case).collect();
    let is_bounded = |finding: &Finding| finding.low.is_finite() && finding.high.is_finite();
    let mut drawn: Vec<(&CaseFinding, String)> = own
        .iter()
        .copied()
        .zip(short_names(&all))
        .filter(|(one, _)| is_bounded(&one.finding))
        .collect();
    drawn.sort_by(|(a, _), (b, _)| a.finding.change.total_cmp(&b.finding.change));
    let left_out = own.len() - drawn.len();
    let points: Vec<Point<'_>> = (0_u32..)
        .zip(drawn)
        .map(|(place, (one, name))| Point { one, name, place: f64::from(place) })
        .collect();
    if points.is_empty() {
        return None;
    }
    let mut caption = format!(
        "The change of each case with its {} % interval, the largest increase on top. The grey band is the margin around zero. An interval without zero is not a verdict: tests are adjusted for their number.",
        percent(1.0 - comparison.alpha)
    );
    if left_out > 0 {
        caption.push_str(&format!(" Cases without an interval, which are not drawn: {left_out}."));
    }
    Some(IntervalChart {
        metric: metric.as_str(),
        title: metric.title(),
        caption,
        figure: interval_figure(metric, &points),
        is_chosen: false,
    })
}

fn interval_figure(metric: Metric, points: &[Point<'_>]) -> String {
    let mut plot = Plot::new();
    for (verdict, colour, symbol) in STYLES {
        let own: Vec<&Point<'_>> =
            points.iter().filter(|point| point.one.finding.verdict == verdict).collect();
        if own.is_empty() {
            continue;
        }
        let texts: Vec<String> = own.iter().map(|point| point_text(point)).collect();
        let places: Vec<f64> = own.iter().map(|point| point.place).collect();
        let ends = ErrorData::new(ErrorType::Data)
            .symmetric(false)
            .array(in_percent(&own, |finding| finding.high - finding.change))
            .array_minus(in_percent(&own, |finding| finding.change - finding.low))
            .color(colour)
            .thickness(1.6)
            .width(4);
        let trace = Scatter::new(in_percent(&own, |finding| finding.change), places)
            .name(verdict.as_str())
            .mode(Mode::Markers)
            .hover_text_array(texts)
            .hover_info(HoverInfo::Text)
            .marker(Marker::new().color(colour).symbol(symbol).size(10))
            .error_x(ends);
        plot.add_trace(trace);
    }
    let unit = if metric == Metric::Errors { "points" } else { "%" };
    let places: Vec<f64> = points.iter().map(|point| point.place).collect();
    let last = places.last().copied().unwrap_or(0.0);
    let names: Vec<&str> = points.iter().map(|point| point.name.as_str()).collect();
    let layout = quiet_layout(140 + CASE_HEIGHT * points.len())
        .shapes(margin_bands(metric, points))
        .x_axis(Axis::new().title(format!("change of {}, {unit}", metric.title())).zero_line(false))
        .y_axis(
            Axis::new()
                .tick_values(places)
                .tick_text(names)
                .range(AxisRange::new(-0.7, last + 0.7))
                .zero_line(false)
                .auto_margin(true),
        );
    plot.set_layout(layout);
    figure(&plot)
}

fn in_percent(points: &[&Point<'_>], value: fn(&Finding) -> f64) -> Vec<f64> {
    points.iter().map(|point| value(&point.one.finding) * 100.0).collect()
}

fn point_text(point: &Point<'_>) -> String {
    let finding = &point.one.finding;
    format!(
        "{}<br>{} {}<br>{}",
        point.name,
        change_text(finding),
        interval_text(finding),
        finding.verdict.as_str()
    )
}

/// The line of no change, and the margin on both sides of it: symmetric as a ratio.
fn margin_bands(metric: Metric, points: &[Point<'_>]) -> Vec<Shape> {
    let line = |width: f64| ShapeLine::new().color("#888888").width(width);
    let zero = Shape::new()
        .shape_type(ShapeType::Line)
        .layer(ShapeLayer::Below)
        .y_ref("paper")
        .x0(0.0)
        .x1(0.0)
        .y0(0.0)
        .y1(1.0)
        .line(line(2.0));
    let mut shapes = vec![zero];
    let margin_of = |point: &Point<'_>| point.one.finding.margin;
    for alike in points.chunk_by(|a, b| margin_of(a) == margin_of(b)) {
        let (Some(first), Some(last)) = (alike.first(), alike.last()) else { continue };
        let margin = margin_of(first);
        if !margin.is_finite() {
            continue;
        }
        let down = if metric == Metric::Errors { margin } else { margin / (1.0 + margin) };
        let band = Shape::new()
            .shape_type(ShapeType::Rect)
            .layer(ShapeLayer::Below)
            .x0(-down * 100.0)
            .x1(margin * 100.0)
            .y0(first.place - 0.5)
            .y1(last.place + 0.5)
            .fill_color("rgba(136,136,136,0.18)")
            .line(line(1.0).dash(DashType::Dot));
        shapes.push(band);
    }
    shapes
}

/// Short names of cases: the app, and each factor that differs among them.
fn short_names(cases: &[&Case]) -> Vec<String> {
    let parts = |case: &&Case| {
        [
            case.stack.app.to_string(),
            case.stack.store.to_string(),
            format!("{}w", case.stack.workers),
            format!("{}c", case.concurrency),
            format!("{}/s", case.target_rps),
        ]
    };
    let all: Vec<[String; 5]> = cases.iter().map(parts).collect();
    let is_shown = |place: usize| place == 0 || all.iter().any(|one| one[place] != all[0][place]);
    let shown: Vec<usize> = (0..5).filter(|&place| is_shown(place)).collect();
    let name = |one: &[String; 5]| {
        shown.iter().map(|&place| one[place].as_str()).collect::<Vec<_>>().join(" · ")
    };
    all.iter().map(name).collect()
}

/// Points of a line of percentiles.
const LINE_POINTS: u32 = 200;

/// A chart of one case, by its number on the page.
pub(super) fn distribution_chart((number, pair): (u32, &DistributionPair)) -> DistributionChart {
    let mut plot = Plot::new();
    for (name, histogram, colour, dash) in [
        ("before", &pair.before, "#0072b2", DashType::Dash),
        ("after", &pair.after, "#d55e00", DashType::Solid),
    ] {
        let line = percentiles(histogram);
        let texts = line.iter().map(|&(x, latency)| {
            format!("{name}<br>{:.3} % within {latency}", (1.0 - 1.0 / x) * 100.0)
        });
        let texts: Vec<String> = texts.collect();
        let x: Vec<f64> = line.iter().map(|&(x, _)| x).collect();
        let y: Vec<f64> = line.iter().map(|(_, latency)| latency.as_secs_f64() * 1e3).collect();
        let trace = Scatter::new(x, y)
            .name(name)
            .mode(Mode::Lines)
            .hover_text_array(texts)
            .hover_info(HoverInfo::Text)
            .line(Line::new().color(colour).width(2.0).dash(dash));
        plot.add_trace(trace);
    }
    let ticks = vec!["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
    let layout = quiet_layout(400)
        .x_axis(
            Axis::new()
                .title("percentile")
                .type_(AxisType::Log)
                .tick_values(vec![2.0, 10.0, 100.0, 1e3, 1e4, 1e5])
                .tick_text(ticks),
        )
        .y_axis(Axis::new().title("latency, ms").type_(AxisType::Log).auto_margin(true));
    plot.set_layout(layout);
    let unfinished =
        |histogram: &Histogram| format!("{} of {}", histogram.censored(), total(histogram));
    DistributionChart {
        id: format!("distribution-{number}"),
        title: pair.case.to_string(),
        caption: format!(
            "All repetitions together. A line ends where unfinished requests hide the percentile. Unfinished: {} before, {} after.",
            unfinished(&pair.before),
            unfinished(&pair.after)
        ),
        figure: figure(&plot),
    }
}

/// The percentiles that are known, as 1 / (1 − p) with the latency, equally far apart on a log scale.
/// Where unfinished requests leave a percentile open, it is missing.
fn percentiles(histogram: &Histogram) -> Vec<(f64, Nanos)> {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
    let most = (total(histogram).max(1) as f64).log10();
    let pool = Pool::new(&[histogram]);
    let known = (0..LINE_POINTS).filter_map(|step| {
        let x = 10_f64.powf(most * f64::from(step) / f64::from(LINE_POINTS - 1));
        let latency = pool.quantile(1.0 - 1.0 / x)?;
        // There is no zero on a log scale.
        (!latency.is_bound && latency.value > Nanos(0)).then_some((x, latency.value))
    });
    known.collect()
}

fn total(histogram: &Histogram) -> u64 {
    histogram.completed().saturating_add(histogram.censored())
}

/// A plain layout with the legend on top, so that it stays visible in a high chart.
fn quiet_layout(height: usize) -> Layout {
    let legend =
        Legend::new().orientation(Orientation::Horizontal).x(0.0).y(1.0).y_anchor(Anchor::Bottom);
    Layout::new()
        .auto_size(true)
        .height(height)
        .margin(Margin::new().left(56).right(16).top(48).bottom(52))
        .paper_background_color("rgba(0,0,0,0)")
        .plot_background_color("rgba(0,0,0,0)")
        .show_legend(true)
        .legend(legend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bucket, Stack};
    use crate::units::Rps;

    fn case(app: &str, workers: u32) -> Case {
        let stack = Stack { app: app.parse().unwrap(), store: "redis".parse().unwrap(), workers };
        Case { stack, concurrency: 100, target_rps: Rps::whole(1000) }
    }

    #[test]
    fn names_have_only_what_differs() {
        let cases = [case("express", 1), case("flask", 1)];
        assert_eq!(short_names(&[&cases[0], &cases[1]]), ["express", "flask"]);
        let cases = [case("express", 1), case("express", 2)];
        assert_eq!(short_names(&[&cases[0], &cases[1]]), ["express · 1w", "express · 2w"]);
        assert!(short_names(&[]).is_empty());
    }

    #[test]
    fn a_line_ends_where_requests_are_unfinished() {
        let bucket = |ms: u64, count: u64, censored: u64| Bucket {
            low: Nanos(ms * 1_000_000),
            high: Nanos(ms * 1_000_000),
            count,
            censored,
            served: 0,
        };
        let line = |buckets: Vec<Bucket>| percentiles(&Histogram { buckets });
        assert!(line(Vec::new()).is_empty());
        // Nine in ten are known: up to 1 / (1 − 0.9).
        let known = line(vec![bucket(1, 900, 0), bucket(50, 0, 100)]);
        assert!(known.iter().all(|&(x, latency)| x < 10.1 && latency == Nanos(1_000_000)));
        assert!(known.last().is_some_and(|&(x, _)| x > 9.5));
        // A request that is unfinished at once leaves the median known.
        let known = line(vec![bucket(1, 0, 1), bucket(2, 999, 0)]);
        assert!(known.iter().any(|&(x, latency)| x > 2.0 && latency == Nanos(2_000_000)));
        assert!(line(vec![bucket(1, 10, 0), bucket(3, 10, 0)]).len() > 100);
    }
}
