// The live graph of a job's operators, laid out by dagre: boxes are buttons over an SVG with the edges.
import { h, svg, setText } from './dom.js'
import { library, missingNote } from './charts.js'
import { shareBar, setShares } from './table.js'
import { shortRate, rate, count } from './format.js'

const boxWidth = 220, boxHeight = 134

const partitionings = { FORWARD: 'forward', HASH: 'hash', REBALANCE: 'rebalance', GLOBAL: 'global' }

export class JobGraph {
  constructor(select) {
    this.select = select
    this.boxes = new Map()
    this.canvas = h('div', { class: 'graph-canvas' })
    this.element = h('div', { class: 'graph', role: 'group', 'aria-label': 'Operators of the job' }, this.canvas)
    this.resizes = new ResizeObserver(() => this.layout())
    this.resizes.observe(this.element)
  }

  async prepare() {
    this.dagre = await library('dagre.min.js', 'dagre')
    if (!this.dagre) this.element.before(missingNote('lines between operators', 'node-dagre-layout'))
  }

  end() { this.resizes.disconnect() }

  /** Takes the graph when it is another one, and the rates always. */
  update(report, history) {
    const shape = JSON.stringify([report.vertices.map(v => [v.id, v.name, v.parallelism]), report.edges])
    if (shape !== this.shape) {
      this.shape = shape
      this.report = report
      this.build()
    }
    for (const vertex of report.vertices) {
      const box = this.boxes.get(vertex.id), rates = history.rates(vertex.id)
      const main = vertex.kind === 'source' ? rates.out : rates.in
      setText(box.rate, shortRate(main))
      box.rate.title = rate(main)
      setText(box.flow, vertex.kind === 'source' ? 'out' : vertex.kind === 'sink' ? 'in' : `in · ${shortRate(rates.out)} out`)
      setShares(box.bar, rates, true)
      const late = vertex.subtasks.reduce((n, s) => n + s.lateRows, 0), bad = vertex.subtasks.reduce((n, s) => n + s.badRecords, 0)
      setText(box.note, [bad ? count(bad) + ' bad' : '', late ? count(late) + ' late' : ''].filter(Boolean).join(' · '))
      const heat = rates.held >= 0.5 ? 'held' : rates.busy >= 0.8 ? 'hot' : ''
      box.element.className = `box ${vertex.kind} ${heat}`
    }
  }

  mark(id) {
    for (const [key, box] of this.boxes) box.element.setAttribute('aria-pressed', String(key === id))
  }

  build() {
    this.boxes.clear()
    this.canvas.replaceChildren()
    for (const vertex of this.report.vertices) {
      const box = { rate: h('strong'), flow: h('span'), bar: shareBar(), note: h('span', { class: 'note' }) }
      box.element = h('button', { type: 'button', class: 'box', 'aria-pressed': 'false', 'data-vertex': vertex.id, onclick: () => this.select(vertex.id) },
        h('span', { class: 'name', title: vertex.name, text: vertex.name }),
        h('span', { class: 'kind' }, h('span', { text: vertex.kind }), h('span', { class: 'parallelism', title: 'parallelism', text: '×' + vertex.parallelism }), box.note),
        h('span', { class: 'flow' }, box.rate, box.flow), box.bar)
      this.boxes.set(vertex.id, box)
      this.canvas.append(box.element)
    }
    this.layout()
  }

  layout() {
    if (!this.report || !this.dagre) return
    // Without its padding.
    const room = this.element.clientWidth - 8
    if (room <= 0) return
    let placed = this.place('LR')
    if (placed.width > room / 0.72) placed = this.place('TB')
    // A graph that is a little too wide is shown smaller; one that is much too wide scrolls.
    const scale = Math.max(0.6, Math.min(1, room / placed.width))
    const lines = svg('svg', { width: placed.width, height: placed.height, 'aria-hidden': 'true' })
    const arrow = svg('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' }, svg('path', { d: 'M0 0 8 4 0 8z' }))
    lines.append(svg('defs', {}, arrow))
    for (const edge of placed.edges) {
      const [first, ...rest] = edge.points
      lines.append(svg('path', { class: 'edge', d: `M${first.x} ${first.y}` + rest.map(p => `L${p.x} ${p.y}`).join(''), 'marker-end': 'url(#arrow)' }))
      const label = svg('text', { class: 'edge-label', x: edge.x, y: edge.y, 'text-anchor': 'middle' })
      label.textContent = partitionings[edge.partitioning] ?? edge.partitioning.toLowerCase()
      lines.append(label)
    }
    this.canvas.querySelector('svg')?.remove()
    this.canvas.prepend(lines)
    for (const [id, box] of this.boxes) {
      const at = placed.nodes.get(id)
      box.element.style.left = at.x - boxWidth / 2 + 'px'
      box.element.style.top = at.y - boxHeight / 2 + 'px'
    }
    this.canvas.classList.add('placed')
    this.canvas.style.width = placed.width + 'px'
    this.canvas.style.height = placed.height + 'px'
    // Centred by the width that is shown.
    this.canvas.style.marginLeft = Math.max(0, (room - placed.width * scale) / 2) + 'px'
    this.canvas.style.transform = `scale(${scale})`
    this.element.style.height = placed.height * scale + 16 + 'px'
    this.element.classList.toggle('scrolls', placed.width * scale > room)
  }

  place(direction) {
    const graph = new this.dagre.graphlib.Graph({ multigraph: true })
    graph.setGraph({ rankdir: direction, nodesep: 28, ranksep: direction === 'LR' ? 24 : 44, marginx: 4, marginy: 4 })
    graph.setDefaultEdgeLabel(() => ({}))
    for (const vertex of this.report.vertices) graph.setNode(String(vertex.id), { width: boxWidth, height: boxHeight })
    this.report.edges.forEach((edge, index) => graph.setEdge(String(edge.from), String(edge.to), { partitioning: edge.partitioning, width: 60, height: 12, labelpos: 'c' }, String(index)))
    this.dagre.layout(graph)
    const { width, height } = graph.graph()
    return {
      width, height, nodes: new Map(this.report.vertices.map(v => [v.id, graph.node(String(v.id))])),
      edges: graph.edges().map(edge => { const e = graph.edge(edge); return { points: e.points, x: e.x, y: e.y - 6, partitioning: e.partitioning } }),
    }
  }
}
