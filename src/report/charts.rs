//! The charts of a dataset as Plotly figures without their points.
//!
//! A figure has the axes, and one trace for each series with its colour, shape and line. The page adds
//! the points from its data, since they depend on the filters; `series` names the points of a trace.

use plotly::common::{
    Anchor, ColorScale, ColorScalePalette, DashType, ErrorData, ErrorType, HoverInfo, Line, Marker,
    MarkerSymbol, Mode, Orientation,
};
use plotly::layout::{Axis, AxisType, BarMode, HoverMode, Layout, Legend, Margin, RangeMode};
use plotly::{Bar, HeatMap, Plot, Scatter, Trace};
use serde::Serialize;

use crate::model::{ComponentName, Order, Part};
use crate::query::{self, Query};
use crate::store::Manifest;

/// A chart with its title and caption.
pub(super) struct Chart {
    /// Its element's id.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// How to read it.
    pub caption: &'static str,
    /// The query that returns its numbers.
    pub query: Query,
    /// Figure and series as JSON, safe inside a script element.
    pub figure: String,
}

/// The points of a trace.
#[derive(Clone, Debug, Default, Serialize)]
struct Series {
    /// What it shows.
    kind: &'static str,
    /// The app, by its place in the experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<usize>,
    /// The store, by its place in the experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<u32>,
}

/// A figure that is being made.
#[derive(Default)]
struct Sketch {
    plot: Plot,
    series: Vec<Series>,
}

impl Sketch {
    fn add(&mut self, series: Series, trace: Box<dyn Trace>) {
        self.plot.add_trace(trace);
        self.series.push(series);
    }

    fn done(mut self, layout: Layout) -> String {
        self.plot.set_layout(layout);
        let series = serde_json::json!(self.series);
        safe(&format!("{{\"figure\":{},\"series\":{series}}}", self.plot.to_json()))
    }
}

/// The chart of the first screen.
pub(super) fn first_chart(manifest: &Manifest) -> Chart {
    Chart {
        id: "latency",
        title: "Latency against target rate",
        caption: "Where a line rises steeply, queues form. An open triangle is a lower bound: unfinished requests hide the value, which is higher. A filled triangle has an interval without an upper end.",
        query: query::LATENCY,
        figure: latency(manifest),
    }
}

/// The charts of cases.
pub(super) fn case_charts(manifest: &Manifest) -> Vec<Chart> {
    let experiment = &manifest.experiment;
    // A search uses other targets for each stack, so at one target there is little to compare.
    let compares = manifest.order != Order::Search;
    let is_useful = |chart: &Chart| match chart.id {
        "workers" => compares && experiment.workers.len() > 1,
        "stores" => compares && experiment.stores.len() > 1,
        _ => true,
    };
    all_case_charts(manifest).into_iter().filter(is_useful).collect()
}

fn all_case_charts(manifest: &Manifest) -> Vec<Chart> {
    vec![
        Chart {
            id: "rate",
            title: "Achieved against target rate",
            caption: "Where a line leaves the diagonal, the stack is saturated. A star marks the knee: the highest rate that was achieved at targets from which on none is sustained (see How it was measured).",
            query: query::TRIALS,
            figure: rate(manifest),
        },
        Chart {
            id: "workers",
            title: "Achieved rate against workers",
            caption: "Dotted: linear scaling from one worker, drawn if one worker missed its target. Dashed: the Universal Scalability Law, drawn if it fits within 10 % and every number of workers missed its target.",
            query: query::TRIALS,
            figure: workers(manifest),
        },
        Chart {
            id: "stores",
            title: "Comparison of stores",
            caption: "With the highest chosen number of workers. A store with one thread is the limit where more workers do not help.",
            query: query::TRIALS,
            figure: stores(manifest),
        },
        Chart {
            id: "tradeoff",
            title: "Latency against achieved rate",
            caption: "Each line is a stack, from its lowest target to its highest. Right and down is better.",
            query: query::LATENCY,
            figure: tradeoff(manifest),
        },
        Chart {
            id: "percentiles",
            title: "Latency by percentile",
            caption: "All repetitions together. The horizontal axis is logarithmic in the share of slower requests. A line ends where unfinished requests hide the value. If nothing is known at the chosen target, the nearest target with data is shown.",
            query: query::LATENCY,
            figure: percentiles(manifest),
        },
        Chart {
            id: "cpu",
            title: "CPU time for 1,000 requests",
            caption: "CPU seconds of app and store for the same work. Less is better.",
            query: query::TRIALS,
            figure: cpu(),
        },
        Chart {
            id: "drift",
            title: "Drift of the host",
            caption: "The median latency of each valid trial divided by that of its case, in the order of execution. A trend means that the host changed during the run. Select a point to see its trial.",
            query: query::DRIFT,
            figure: drift(manifest),
        },
    ]
}

/// The charts of one trial.
pub(super) fn trial_charts() -> Vec<Chart> {
    vec![
        Chart {
            id: "timeline",
            title: "One trial, second by second",
            caption: "Requests offered and answered, the latency of the answers (without unfinished requests), and the CPUs in use. “Throttled” is the time that a quota withheld CPUs from a part.",
            query: query::TIMELINE,
            figure: timeline(),
        },
        Chart {
            id: "heat",
            title: "Latency over time",
            caption: "Every repetition of the case of this trial, second by second. A bright column points to a periodic cause, a bright row to a slow start of that repetition.",
            query: query::TIMELINE,
            figure: heat(),
        },
    ]
}

/// Okabe and Ito 2008, *Color Universal Design*: distinct for most colour-blind readers.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
/// A second code besides colour.
const SYMBOLS: [MarkerSymbol; 6] = [
    MarkerSymbol::Circle,
    MarkerSymbol::Square,
    MarkerSymbol::Diamond,
    MarkerSymbol::Cross,
    MarkerSymbol::X,
    MarkerSymbol::Star,
];
/// Lines of stacks.
const DASHES: [DashType; 4] =
    [DashType::Solid, DashType::Dash, DashType::Dot, DashType::LongDashDot];

/// How an app on a store is drawn.
struct Pair {
    app: usize,
    store: usize,
    name: String,
    colour: &'static str,
    symbol: MarkerSymbol,
}

impl Pair {
    fn all(manifest: &Manifest) -> Vec<Self> {
        let experiment = &manifest.experiment;
        let stores = experiment.stores.len();
        let mut pairs = Vec::new();
        for (app, app_name) in experiment.apps.iter().enumerate() {
            for (store, store_name) in experiment.stores.iter().enumerate() {
                let place = app * stores + store;
                let name = match (experiment.apps.len(), stores) {
                    (1, 1..) if stores > 1 => title(manifest, store_name),
                    (_, 1) => title(manifest, app_name),
                    _ => format!("{} · {}", title(manifest, app_name), title(manifest, store_name)),
                };
                pairs.push(Self {
                    app,
                    store,
                    name: plotly_text(&name),
                    colour: COLOURS[place % COLOURS.len()],
                    // Another shape for each round of colours.
                    symbol: SYMBOLS[(place + place / COLOURS.len()) % SYMBOLS.len()].clone(),
                });
            }
        }
        pairs
    }

    fn series(&self, kind: &'static str, workers: Option<u32>) -> Series {
        Series { kind, app: Some(self.app), store: Some(self.store), workers }
    }
}

/// The numbers of workers with their dashes: a solid line for the most workers.
fn dashes(manifest: &Manifest) -> Vec<(u32, DashType)> {
    let mut counts = manifest.experiment.workers.clone();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let dash = |rank: usize| DASHES[rank.min(DASHES.len() - 1)].clone();
    counts.into_iter().enumerate().map(|(rank, count)| (count, dash(rank))).collect()
}

/// A line with markers and intervals for each stack. The legend is shorter: it has an entry for each app
/// on a store, and one for each number of workers.
fn add_stacks(sketch: &mut Sketch, manifest: &Manifest, kind: &'static str) {
    let mode = || if kind == "distribution" { Mode::Lines } else { Mode::LinesMarkers };
    for pair in Pair::all(manifest) {
        for (count, dash) in dashes(manifest) {
            let name = format!("{} · {count}w", pair.name);
            let trace = points(&pair, &name, dash).mode(mode()).show_legend(false);
            sketch.add(pair.series(kind, Some(count)), trace.legend_group(pair.name.clone()));
        }
        let entry = points(&pair, &pair.name, DashType::Solid).mode(mode());
        sketch.add(pair.series("entry", None), entry.legend_group(pair.name.clone()));
    }
    let dashes = dashes(manifest);
    for (count, dash) in dashes.iter().rev().filter(|_| dashes.len() > 1) {
        let plural = if *count == 1 { "" } else { "s" };
        let entry = guide(&format!("{count} worker{plural}"), "#888888", dash.clone());
        let series = Series { kind: "entry", workers: Some(*count), ..Series::default() };
        sketch.add(series, entry);
    }
}

/// A line with markers and intervals for each app on a store.
fn add_pairs(sketch: &mut Sketch, manifest: &Manifest) {
    for pair in Pair::all(manifest) {
        let trace = points(&pair, &pair.name, DashType::Solid);
        sketch.add(pair.series("cases", None), trace);
    }
}

fn points(pair: &Pair, name: &str, dash: DashType) -> Box<Scatter<f64, f64>> {
    Scatter::new(vec![], vec![])
        .name(name)
        .mode(Mode::LinesMarkers)
        .hover_info(HoverInfo::Text)
        .line(Line::new().color(pair.colour).dash(dash).width(2.0))
        .marker(
            Marker::new()
                .color(pair.colour)
                .symbol(pair.symbol.clone())
                .size(9)
                .opacity(1.0)
                .line(Line::new().color(pair.colour).width(1.5)),
        )
        .error_y(ErrorData::new(ErrorType::Data).symmetric(false).thickness(1.2))
}

/// A line that only guides the eye.
fn guide(name: &str, colour: &'static str, dash: DashType) -> Box<Scatter<f64, f64>> {
    Scatter::new(vec![], vec![])
        .name(name)
        .mode(Mode::Lines)
        .hover_info(HoverInfo::Skip)
        .line(Line::new().color(colour).width(1.2).dash(dash))
}

fn latency(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    let limit = guide("limit", "#888888", DashType::DashDot);
    sketch.add(Series { kind: "limit", ..Series::default() }, limit);
    add_stacks(&mut sketch, manifest, "cases");
    sketch.done(layout("target, requests/s", "latency, ms"))
}

fn rate(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    let diagonal = guide("achieved = target", "#888888", DashType::DashDot);
    sketch.add(Series { kind: "diagonal", ..Series::default() }, diagonal);
    add_stacks(&mut sketch, manifest, "cases");
    for pair in Pair::all(manifest) {
        let knees = Scatter::new(Vec::<f64>::new(), Vec::<f64>::new())
            .name("knee")
            .show_legend(false)
            .mode(Mode::Markers)
            .hover_info(HoverInfo::Text)
            .marker(
                Marker::new().color(pair.colour).symbol(MarkerSymbol::StarDiamondOpen).size(15),
            );
        sketch.add(pair.series("knees", None), knees);
    }
    sketch.done(layout("target, requests/s", "achieved, requests/s"))
}

fn workers(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    add_pairs(&mut sketch, manifest);
    for pair in Pair::all(manifest) {
        for (kind, dash) in [("ideal", DashType::Dot), ("law", DashType::Dash)] {
            let line =
                guide(kind, pair.colour, dash).hover_info(HoverInfo::Text).show_legend(false);
            sketch.add(pair.series(kind, None), line);
        }
    }
    let mut counts: Vec<u32> = manifest.experiment.workers.clone();
    counts.sort_unstable();
    let ticks = counts.into_iter().map(f64::from).collect();
    let axis = Axis::new().title("workers").range_mode(RangeMode::ToZero).tick_values(ticks);
    sketch.done(layout("workers", "achieved, requests/s").x_axis(axis))
}

fn stores(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    for (store, name) in manifest.experiment.stores.iter().enumerate() {
        // Not those of apps on stores.
        let colour = COLOURS[COLOURS.len() - 1 - store % COLOURS.len()];
        let bar = Bar::new(Vec::<String>::new(), Vec::<f64>::new())
            .name(plotly_text(&title(manifest, name)))
            .hover_info(HoverInfo::Text)
            .marker(Marker::new().color(colour).line(Line::new().color(colour).width(1.5)))
            .error_y(ErrorData::new(ErrorType::Data).symmetric(false).thickness(1.2));
        sketch.add(Series { kind: "bars", store: Some(store), ..Series::default() }, bar);
    }
    let axis = Axis::new().type_(AxisType::Category);
    sketch.done(layout("", "achieved, requests/s").x_axis(axis).bar_mode(BarMode::Group))
}

fn tradeoff(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    add_stacks(&mut sketch, manifest, "cases");
    sketch.done(layout("achieved, requests/s", "latency, ms"))
}

fn percentiles(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    add_stacks(&mut sketch, manifest, "distribution");
    let shares = [("0 %", 1.0), ("90 %", 1e1), ("99 %", 1e2), ("99.9 %", 1e3), ("99.99 %", 1e4)]
        .into_iter()
        .chain([("99.999 %", 1e5), ("99.9999 %", 1e6)]);
    let (labels, places): (Vec<&str>, Vec<f64>) = shares.unzip();
    let axis =
        Axis::new().title("percentile").type_(AxisType::Log).tick_values(places).tick_text(labels);
    sketch.done(layout("percentile", "latency, ms").x_axis(axis))
}

fn cpu() -> String {
    let mut sketch = Sketch::default();
    for (kind, name, colour) in [("app_cpu", "app", "#6b7785"), ("store_cpu", "store", COLOURS[4])]
    {
        let bar = Bar::new(Vec::<f64>::new(), Vec::<String>::new())
            .name(name)
            .orientation(Orientation::Horizontal)
            .hover_info(HoverInfo::Text)
            .marker(Marker::new().color(colour).line(Line::new().color(colour).width(1.5)))
            .error_x(ErrorData::new(ErrorType::Data).symmetric(false).thickness(1.2));
        sketch.add(Series { kind, ..Series::default() }, bar);
    }
    let names = Axis::new().type_(AxisType::Category).auto_margin(true);
    sketch.done(layout("CPU seconds", "").y_axis(names).bar_mode(BarMode::Group))
}

fn drift(manifest: &Manifest) -> String {
    let mut sketch = Sketch::default();
    for pair in Pair::all(manifest) {
        let trace = Scatter::new(Vec::<f64>::new(), Vec::<f64>::new())
            .name(pair.name.clone())
            .mode(Mode::Markers)
            .hover_info(HoverInfo::Text)
            .marker(Marker::new().color(pair.colour).symbol(pair.symbol.clone()).size(7));
        sketch.add(pair.series("residuals", None), trace);
    }
    sketch.done(layout("position in the order of execution", "p50 ÷ p50 of the case"))
}

fn timeline() -> String {
    let mut sketch = Sketch::default();
    let line = |name: &str, colour: &'static str, dash: DashType, axis: &str| {
        Scatter::new(Vec::<f64>::new(), Vec::<f64>::new())
            .name(name)
            .mode(Mode::LinesMarkers)
            .marker(Marker::new().size(4).color(colour))
            .line(Line::new().color(colour).dash(dash).width(1.6))
            .y_axis(axis)
    };
    let mut add = |kind, name: &str, colour, dash, axis: &str| {
        sketch.add(Series { kind, ..Series::default() }, line(name, colour, dash, axis));
    };
    add("planned", "planned", "#888888", DashType::DashDot, "y");
    add("completed", "completed", COLOURS[0], DashType::Solid, "y");
    add("failed", "failed", COLOURS[1], DashType::Dot, "y");
    add("p50", "p50", COLOURS[2], DashType::Solid, "y2");
    add("p95", "p95", COLOURS[0], DashType::Dash, "y2");
    add("p99", "p99", COLOURS[3], DashType::Dot, "y2");
    add("max", "max", COLOURS[1], DashType::DashDot, "y2");
    let parts = [(Part::App, COLOURS[0]), (Part::Store, COLOURS[1]), (Part::Loader, COLOURS[2])];
    for (part, colour) in parts {
        let name = part.as_str();
        add(name, &format!("{name} CPUs"), colour, DashType::Solid, "y3");
    }
    add("app_throttled", "app throttled", COLOURS[0], DashType::Dot, "y3");
    add("store_throttled", "store throttled", COLOURS[1], DashType::Dot, "y3");
    let axis = |title: &str, from: f64, to: f64| {
        Axis::new().title(title).range_mode(RangeMode::ToZero).domain(&[from, to]).auto_margin(true)
    };
    let layout = layout("second of the load", "")
        .x_axis(Axis::new().title("second of the load").anchor("y3"))
        .y_axis(axis("requests/s", 0.72, 1.0))
        .y_axis2(axis("latency, ms", 0.36, 0.64).type_(AxisType::Log))
        .y_axis3(axis("CPUs", 0.0, 0.28))
        .hover_mode(HoverMode::X);
    sketch.done(layout)
}

fn heat() -> String {
    let mut sketch = Sketch::default();
    let map = HeatMap::new(Vec::<f64>::new(), Vec::<String>::new(), Vec::<Vec<f64>>::new())
        .color_scale(ColorScale::Palette(ColorScalePalette::Cividis))
        .hover_on_gaps(false)
        .hover_info(HoverInfo::Text);
    sketch.add(Series { kind: "heat", ..Series::default() }, map);
    let rows = Axis::new().type_(AxisType::Category).auto_margin(true);
    sketch.done(layout("second of the load", "").y_axis(rows))
}

/// The title of a component.
pub(super) fn title(manifest: &Manifest, name: &ComponentName) -> String {
    let found = manifest.bundle.components.iter().find(|component| component.name == *name);
    found.map_or_else(|| name.to_string(), |component| component.title.clone())
}

/// A name that leaves room for the chart; Plotly reads some HTML in names, so it is escaped.
fn plotly_text(text: &str) -> String {
    let is_long = text.chars().count() > MAX_NAME_CHARS;
    let text = match is_long {
        true => text.chars().take(MAX_NAME_CHARS - 1).chain(['…']).collect(),
        false => text.to_owned(),
    };
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The most characters of a name in a chart.
const MAX_NAME_CHARS: usize = 64;

/// A quiet layout; colours and height are the page's.
fn layout(x: &str, y: &str) -> Layout {
    let legend =
        Legend::new().orientation(Orientation::Horizontal).x(0.0).y(1.02).y_anchor(Anchor::Bottom);
    Layout::new()
        .auto_size(true)
        .margin(Margin::new().left(64).right(16).top(16).bottom(48))
        .paper_background_color("rgba(0,0,0,0)")
        .plot_background_color("rgba(0,0,0,0)")
        .hover_mode(HoverMode::Closest)
        .legend(legend)
        .x_axis(Axis::new().title(x).range_mode(RangeMode::ToZero).auto_margin(true))
        .y_axis(Axis::new().title(y).range_mode(RangeMode::ToZero).auto_margin(true))
}

/// A figure as JSON in which no text can end its script element.
pub(super) fn figure(plot: &Plot) -> String {
    safe(&plot.to_json())
}

/// JSON in which no text can end its script element.
pub(super) fn safe(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
