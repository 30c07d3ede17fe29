#include "cdashboard_assets.h"

#ifndef __has_embed
#error "the dashboard needs a compiler with #embed, such as the one of Swift 6.3"
#endif
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char index_html[] = {
#embed "assets/index.html"
};
static const unsigned char app_css[] = {
#embed "assets/app.css"
};
static const unsigned char favicon_svg[] = {
#embed "assets/favicon.svg"
};
static const unsigned char main_js[] = {
#embed "assets/main.js"
};
static const unsigned char api_js[] = {
#embed "assets/api.js"
};
static const unsigned char dom_js[] = {
#embed "assets/dom.js"
};
static const unsigned char format_js[] = {
#embed "assets/format.js"
};
static const unsigned char table_js[] = {
#embed "assets/table.js"
};
static const unsigned char samples_js[] = {
#embed "assets/samples.js"
};
static const unsigned char charts_js[] = {
#embed "assets/charts.js"
};
static const unsigned char graph_js[] = {
#embed "assets/graph.js"
};
static const unsigned char actions_js[] = {
#embed "assets/actions.js"
};
static const unsigned char pages_overview_js[] = {
#embed "assets/pages/overview.js"
};
static const unsigned char pages_topology_js[] = {
#embed "assets/pages/topology.js"
};
static const unsigned char pages_job_js[] = {
#embed "assets/pages/job.js"
};
static const unsigned char pages_tables_js[] = {
#embed "assets/pages/tables.js"
};
static const unsigned char pages_streams_js[] = {
#embed "assets/pages/streams.js"
};
static const unsigned char pages_sql_js[] = {
#embed "assets/pages/sql.js"
};
static const unsigned char pages_views_js[] = {
#embed "assets/pages/views.js"
};
static const unsigned char pages_alerts_js[] = {
#embed "assets/pages/alerts.js"
};
static const unsigned char editor_js[] = {
#embed "assets/editor.js"
};
static const unsigned char studio_markup_js[] = {
#embed "assets/studio/markup.js"
};
static const unsigned char studio_chart_js[] = {
#embed "assets/studio/chart.js"
};
static const unsigned char studio_outputs_js[] = {
#embed "assets/studio/outputs.js"
};
static const unsigned char studio_cell_js[] = {
#embed "assets/studio/cell.js"
};
static const unsigned char studio_notebook_js[] = {
#embed "assets/studio/notebook.js"
};
static const unsigned char pages_studio_js[] = {
#embed "assets/pages/studio.js"
};

// Libraries: one that is missing leaves the page without charts or graph, and it says so.
#if __has_embed("/usr/share/javascript/chart.js/chart.min.js") == __STDC_EMBED_FOUND__
#define HAS_LIB_CHART_MIN_JS 1
static const unsigned char lib_chart_min_js[] = {
#embed "/usr/share/javascript/chart.js/chart.min.js"
};
#endif
#if __has_embed("/usr/share/nodejs/dagre/dist/dagre.min.js") == __STDC_EMBED_FOUND__
#define HAS_LIB_DAGRE_MIN_JS 1
static const unsigned char lib_dagre_min_js[] = {
#embed "/usr/share/nodejs/dagre/dist/dagre.min.js"
};
#endif
#if __has_embed("/usr/share/javascript/codemirror/lib/codemirror.js") == __STDC_EMBED_FOUND__
#define HAS_CODEMIRROR 1
#endif
#ifdef HAS_CODEMIRROR
static const unsigned char lib_codemirror_js[] = {
#embed "/usr/share/javascript/codemirror/lib/codemirror.js"
};
static const unsigned char lib_codemirror_css[] = {
#embed "/usr/share/javascript/codemirror/lib/codemirror.css"
};
static const unsigned char lib_show_hint_js[] = {
#embed "/usr/share/javascript/codemirror/addon/hint/show-hint.js"
};
static const unsigned char lib_show_hint_css[] = {
#embed "/usr/share/javascript/codemirror/addon/hint/show-hint.css"
};
static const unsigned char lib_matchbrackets_js[] = {
#embed "/usr/share/javascript/codemirror/addon/edit/matchbrackets.js"
};
static const unsigned char lib_closebrackets_js[] = {
#embed "/usr/share/javascript/codemirror/addon/edit/closebrackets.js"
};
static const unsigned char lib_placeholder_js[] = {
#embed "/usr/share/javascript/codemirror/addon/display/placeholder.js"
};
static const unsigned char lib_comment_js[] = {
#embed "/usr/share/javascript/codemirror/addon/comment/comment.js"
};
static const unsigned char lib_sql_js[] = {
#embed "/usr/share/javascript/codemirror/mode/sql/sql.js"
};
static const unsigned char lib_markdown_js[] = {
#embed "/usr/share/javascript/codemirror/mode/markdown/markdown.js"
};
static const unsigned char lib_python_js[] = {
#embed "/usr/share/javascript/codemirror/mode/python/python.js"
};
static const unsigned char lib_shell_js[] = {
#embed "/usr/share/javascript/codemirror/mode/shell/shell.js"
};
static const unsigned char lib_swift_js[] = {
#embed "/usr/share/javascript/codemirror/mode/swift/swift.js"
};
#endif

#define OWN(path, name) {path, name, sizeof name, NULL}
#ifdef HAS_CODEMIRROR
#define CODEMIRROR(path, name) {path, name, sizeof name, "libjs-codemirror"}
#else
#define CODEMIRROR(path, name) {path, NULL, 0, "libjs-codemirror"}
#endif

static const struct sw_dashboard_asset assets[] = {
    OWN("/index.html", index_html),
    OWN("/app.css", app_css),
    OWN("/favicon.svg", favicon_svg),
    OWN("/main.js", main_js),
    OWN("/api.js", api_js),
    OWN("/dom.js", dom_js),
    OWN("/format.js", format_js),
    OWN("/table.js", table_js),
    OWN("/samples.js", samples_js),
    OWN("/charts.js", charts_js),
    OWN("/graph.js", graph_js),
    OWN("/actions.js", actions_js),
    OWN("/pages/overview.js", pages_overview_js),
    OWN("/pages/topology.js", pages_topology_js),
    OWN("/pages/job.js", pages_job_js),
    OWN("/pages/tables.js", pages_tables_js),
    OWN("/pages/streams.js", pages_streams_js),
    OWN("/pages/sql.js", pages_sql_js),
    OWN("/pages/views.js", pages_views_js),
    OWN("/pages/alerts.js", pages_alerts_js),
    OWN("/editor.js", editor_js),
    OWN("/studio/markup.js", studio_markup_js),
    OWN("/studio/chart.js", studio_chart_js),
    OWN("/studio/outputs.js", studio_outputs_js),
    OWN("/studio/cell.js", studio_cell_js),
    OWN("/studio/notebook.js", studio_notebook_js),
    OWN("/pages/studio.js", pages_studio_js),
#ifdef HAS_LIB_CHART_MIN_JS
    {"/lib/chart.min.js", lib_chart_min_js, sizeof lib_chart_min_js, "libjs-chart.js"},
#else
    {"/lib/chart.min.js", NULL, 0, "libjs-chart.js"},
#endif
#ifdef HAS_LIB_DAGRE_MIN_JS
    {"/lib/dagre.min.js", lib_dagre_min_js, sizeof lib_dagre_min_js, "node-dagre-layout"},
#else
    {"/lib/dagre.min.js", NULL, 0, "node-dagre-layout"},
#endif
    CODEMIRROR("/lib/codemirror.js", lib_codemirror_js),
    CODEMIRROR("/lib/codemirror.css", lib_codemirror_css),
    CODEMIRROR("/lib/show-hint.js", lib_show_hint_js),
    CODEMIRROR("/lib/show-hint.css", lib_show_hint_css),
    CODEMIRROR("/lib/matchbrackets.js", lib_matchbrackets_js),
    CODEMIRROR("/lib/closebrackets.js", lib_closebrackets_js),
    CODEMIRROR("/lib/placeholder.js", lib_placeholder_js),
    CODEMIRROR("/lib/comment.js", lib_comment_js),
    CODEMIRROR("/lib/sql.js", lib_sql_js),
    CODEMIRROR("/lib/markdown.js", lib_markdown_js),
    CODEMIRROR("/lib/python.js", lib_python_js),
    CODEMIRROR("/lib/shell.js", lib_shell_js),
    CODEMIRROR("/lib/swift.js", lib_swift_js),
};

const struct sw_dashboard_asset *sw_dashboard_asset_at(size_t number) {
    return number < sizeof assets / sizeof assets[0] ? &assets[number] : NULL;
}
