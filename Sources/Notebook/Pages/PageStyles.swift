/// The style sheet of pages. Every text on its ground has a contrast of at least 4.5 to 1 in both themes.
package enum PageStyles {
    /// Colours as variables, and the rules of the charts.
    package static let page = """
        :root{color-scheme:light dark;--ground:light-dark(#f4f6f8,#0e1418);--card:light-dark(#ffffff,#161d23);--raised:light-dark(#f0f3f5,#1e272f);--line:light-dark(#dbe1e6,#2b363f);\
        --strong-line:light-dark(#828f99,#66757f);--text:light-dark(#17212b,#e5ebef);--muted:light-dark(#54626d,#a2b0ba);--accent:light-dark(#0b6b7f,#5cc8dc);--bad:light-dark(#b3261e,#ff9389);\
        --bad-ground:light-dark(#fde7e5,#42191a);--warn:light-dark(#7c4a03,#f2bd63);--warn-ground:light-dark(#fdf0d5,#3a2a0c);--green:light-dark(#17693a,#6fd496);--violet:light-dark(#6a3fc4,#b9a5fa);\
        \(seriesVariables);\
        --mono:ui-monospace,"SF Mono","Cascadia Code",Menlo,Consolas,"DejaVu Sans Mono",monospace}
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%}
        body{margin:0 auto;padding:24px 20px 64px;max-width:960px;background:var(--ground);color:var(--text);font:15px/1.55 \(ChartTheme.fonts);overflow-wrap:anywhere}
        a{color:var(--accent)}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
        .skip{position:absolute;left:8px;top:-60px;padding:8px 12px;background:var(--card);border:1px solid var(--line);border-radius:6px}.skip:focus{top:8px}
        h1,h2,h3,h4,h5,h6{line-height:1.25;margin:1.4em 0 .5em;font-weight:650}h1{font-size:28px;margin-top:0}h2{font-size:21px}h3{font-size:17px}h4,h5,h6{font-size:15px}
        p,ul,ol,dl,blockquote,table,pre{margin:0 0 12px}blockquote{padding:0 14px;border-left:3px solid var(--strong-line);color:var(--muted)}
        code,pre{font-family:var(--mono);font-size:13px}pre{white-space:pre-wrap;line-height:1.5}
        .markdown :not(pre)>code{background:var(--raised);border-radius:4px;padding:1px 5px}.markdown pre{background:var(--raised);border-radius:8px;padding:12px 14px}
        .markdown table{display:block;overflow-x:auto}hr{border:0;border-top:1px solid var(--line);margin:24px 0}
        .anchor{scroll-margin-top:16px}
        .top{margin-bottom:20px;display:flex;flex-wrap:wrap;gap:4px 24px;align-items:baseline}.top h1,.parameters{flex-basis:100%}.top h1{margin-bottom:0}
        .summary{margin:0;color:var(--muted);flex:1}.summary span+span::before{content:"· "}.summary[data-state=failed] span:last-of-type{color:var(--bad)}
        .toggle{color:var(--muted);display:inline-flex;gap:6px;align-items:center}.toggle input{accent-color:var(--accent);width:16px;height:16px;margin:0}
        .parameters dl{display:flex;flex-wrap:wrap;gap:6px 20px;margin:8px 0 0}.parameters dl div{display:flex;gap:6px}dt{color:var(--muted)}dt::after{content:" ="}dd{margin:0;font-family:var(--mono);font-size:13px}
        summary{cursor:pointer;color:var(--muted);padding:4px 0}
        .contents{border:1px solid var(--line);border-radius:8px;background:var(--card);padding:12px 18px;margin-bottom:24px}.contents ol{list-style:none;margin:0;padding:0;columns:2 280px;column-gap:32px}
        .contents li{break-inside:avoid;padding:2px 0}.contents .level-1{padding-left:16px}.contents .level-2{padding-left:32px}.contents a{text-decoration:none}.contents a:hover{text-decoration:underline}
        .code{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0 0 20px;overflow:hidden}.code[data-state=failed]{border-color:var(--bad)}
        .head{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline;padding:8px 16px;color:var(--muted);font-size:13px}.head:empty{display:none}
        .head h2,.head h3,.head h4,.head h5,.head h6{margin:0;font-size:15px;color:var(--text);scroll-margin-top:16px}.interpreter,.tag{font-family:var(--mono);font-size:12px}.tag{background:var(--raised);border-radius:9px;padding:0 8px}
        .time{margin-left:auto;font-variant-numeric:tabular-nums}.state{border-radius:9px;padding:0 9px;background:var(--raised)}[data-state=failed] .state{background:var(--bad-ground);color:var(--bad)}
        [data-state=stopped] .state,[data-state=skipped] .state{background:var(--warn-ground);color:var(--warn)}
        .source{margin:0;padding:12px 16px;background:var(--raised);border-top:1px solid var(--line)}.head:empty+.source{border-top:0}body:has(#hide-source:checked) .source{display:none}
        .keyword{color:var(--accent);font-weight:600}.string{color:var(--green)}.comment{color:var(--muted);font-style:italic}.number{font-variant-numeric:tabular-nums}.source .number,.directive,.parameter{color:var(--violet)}.name{color:var(--text)}
        .outputs{padding:14px 16px 4px;border-top:1px solid var(--line)}.message{color:var(--muted)}.message::before{content:"✓ ";color:var(--green)}
        .text{background:none;padding:0;max-height:480px;overflow:auto}[data-state=failed] .error-text{color:var(--bad)}
        .failure{background:var(--bad-ground);color:var(--bad);border-radius:8px;padding:10px 14px;margin:0 0 12px}.failure pre{margin:4px 0 0;color:inherit}
        table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px}caption{text-align:left;color:var(--muted);padding:0 0 6px}
        th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}th:last-child,td:last-child{padding-right:0}[align=right]{text-align:right}[align=center]{text-align:center}th{font-weight:600;white-space:nowrap}
        .type{display:block;color:var(--muted);font-weight:400;font-size:11.5px}td.number,th.number{text-align:right}.null{color:var(--muted);font-style:italic}td{max-width:440px}
        .scroll{overflow:auto;max-height:440px;margin-bottom:12px}.scroll thead th{position:sticky;top:0;background:var(--card)}.scroll td.number{white-space:nowrap}
        .drawn{margin:0 0 8px}.chart{display:block;max-width:100%;height:auto}.narrow{display:none}.image{max-width:100%;height:auto;background:#fff}
        .frame{width:100%;border:1px solid var(--line);border-radius:6px;background:#fff;height:160px;color-scheme:light}.lines-1{height:280px}.lines-2{height:400px}.lines-3{height:520px}
        \(ChartTheme.pageStyles)
        @media (max-width:640px){body{padding:16px 12px 48px}.wide{display:none}.narrow{display:block}.source,.outputs{padding-left:12px;padding-right:12px}.head{padding:8px 12px}h1{font-size:24px}}
        @media print{:root{color-scheme:light}body{max-width:none;padding:0}.toggle,.skip{display:none}.code,figure,tr{break-inside:avoid}.code{overflow:visible}.scroll,.text{max-height:none;overflow:visible}.wide{display:block}.narrow{display:none}}
        """

    /// For the documents of cells' own HTML.
    package static let frame = "body{margin:8px;font:13.5px/1.5 \(ChartTheme.fonts);color:#17212b;background:#fff}table{border-collapse:collapse}th,td{padding:4px 10px;border-bottom:1px solid #dbe1e6;text-align:right}"

    private static var seriesVariables: String {
        zip(ChartTheme.lightColors.series, ChartTheme.darkColors.series).enumerated().map { "--series-\($0):light-dark(\($1.0),\($1.1))" }.joined(separator: ";")
    }
}
