-- Charts as SVG, in one of two themes.
--
--   chart.bars({ title =, panels = { { title =, bars = { { label =, value =,
--     text =, is_ours = }, ... } }, ... } }, theme) -> text
--   chart.lines({ title =, x =, y = (what the axes are), x_ticks =, y_ticks =
--     (lists of { value, text }, whose first and last are the ends), is_log =,
--     lines = { { label =, colour =, is_ours =, points = { { x, y }, ... } },
--     ... } }, theme) -> text
--   chart.themes   "light" and "dark"

local chart = {}

chart.themes = {
  light = { ground = "#ffffff", text = "#1f2328", faint = "#59636e",
    line = "#d1d9e0", bar = "#afb8c1", ours = "#e8590c", engine = "#f5a97f" },
  dark = { ground = "#0d1117", text = "#f0f6fc", faint = "#9198a1",
    line = "#3d444d", bar = "#57606a", ours = "#ff7b31", engine = "#a65a2e" },
}

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;" }

local function escaped(text)
  return (tostring(text):gsub('[&<>"]', escapes))
end

-- A picture in the making.
local function begin(width, height, title, theme)
  local out = { ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" '
    .. 'height="%d" viewBox="0 0 %d %d" role="img" font-family="system-ui, '
    .. '-apple-system, Segoe UI, Helvetica, Arial, sans-serif" '
    .. 'font-size="12">'):format(width, height, width, height),
    ("<title>%s</title>"):format(escaped(title)),
    ('<rect width="%d" height="%d" fill="%s"/>'):format(width, height,
      theme.ground) }
  local self = {}
  function self.text(x, y, text, options)
    local o = options or {}
    out[#out + 1] = ('<text x="%.1f" y="%.1f" fill="%s" text-anchor="%s"'
      .. '%s%s>%s</text>'):format(x, y, o.colour or theme.text,
      o.anchor or "start", o.size and (' font-size="%d"'):format(o.size) or "",
      o.is_bold and ' font-weight="600"' or "", escaped(text))
  end
  function self.rect(x, y, w, h, colour)
    out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" '
      .. 'rx="2" fill="%s"/>'):format(x, y, w, h, colour)
  end
  function self.path(points, colour, stroke)
    local steps = {}
    for i, p in ipairs(points) do
      steps[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", p[1], p[2])
    end
    out[#out + 1] = ('<path d="%s" fill="none" stroke="%s" '
      .. 'stroke-width="%g" stroke-linejoin="round"/>'):format(
      table.concat(steps, " "), colour, stroke)
  end
  function self.dot(x, y, r, colour)
    out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="%g" fill="%s"/>'):format(
      x, y, r, colour)
  end
  function self.done()
    out[#out + 1] = "</svg>\n"
    return table.concat(out, "\n")
  end
  return self
end

-- ---- bars ----

local row, panel_width, label_width, columns = 18, 440, 124, 2
local bar_width = panel_width - label_width - 84

local function draw_panel(svg, panel, x, y, theme)
  local most = 0
  for _, bar in ipairs(panel.bars) do most = math.max(most, bar.value) end
  svg.text(x, y + 12, panel.title, { is_bold = true, size = 13 })
  for i, bar in ipairs(panel.bars) do
    local top = y + 22 + (i - 1) * row
    local long = most > 0 and math.max(1.5, bar.value / most * bar_width) or 0
    local from = x + label_width
    svg.text(from - 8, top + 12, bar.label, { anchor = "end",
      colour = bar.is_ours and theme.text or theme.faint,
      is_bold = bar.is_ours == true })
    svg.rect(from, top + 2, long, row - 5, bar.is_ours == true and theme.ours
      or bar.is_ours and theme.engine or theme.bar)
    svg.text(from + long + 6, top + 12, bar.text, { size = 11,
      colour = bar.is_ours and theme.text or theme.faint })
  end
end

function chart.bars(what, theme)
  local heights, y = {}, 48
  for i, panel in ipairs(what.panels) do
    local line = (i - 1) // columns + 1
    heights[line] = math.max(heights[line] or 0, #panel.bars * row + 44)
  end
  local height = y + 8
  for _, h in ipairs(heights) do height = height + h end
  local svg = begin(columns * panel_width + 32, height, what.title, theme)
  svg.text(16, 28, what.title, { size = 16, is_bold = true })
  for i, panel in ipairs(what.panels) do
    local column = (i - 1) % columns
    draw_panel(svg, panel, 16 + column * panel_width, y, theme)
    if column == columns - 1 then y = y + heights[(i - 1) // columns + 1] end
  end
  return svg.done()
end

-- ---- lines ----

local left, right, top, bottom = 72, 150, 70, 52
local plot_width, plot_height = 690, 340

local function scale(ticks, is_log, from, to)
  local function f(v) return is_log and math.log(v) or v end
  local low, high = f(ticks[1][1]), f(ticks[#ticks][1])
  return function(v)
    local part = (f(math.max(v, ticks[1][1])) - low) / (high - low)
    return from + math.min(part, 1) * (to - from)
  end
end

local function draw_axes(svg, what, x_at, y_at, theme)
  local base = top + plot_height
  for _, tick in ipairs(what.y_ticks) do
    local y = y_at(tick[1])
    svg.path({ { left, y }, { left + plot_width, y } }, theme.line, 0.6)
    svg.text(left - 8, y + 4, tick[2], { anchor = "end",
      colour = theme.faint })
  end
  for _, tick in ipairs(what.x_ticks) do
    local x = x_at(tick[1])
    svg.path({ { x, base }, { x, base + 4 } }, theme.line, 1)
    svg.text(x, base + 18, tick[2], { anchor = "middle",
      colour = theme.faint })
  end
  svg.text(left + plot_width / 2, base + 40, what.x, { anchor = "middle",
    colour = theme.faint })
  svg.text(16, 48, what.y, { colour = theme.faint })
end

-- Labels beside the lines' ends, none upon another, none below the plot.
local function draw_labels(svg, ends)
  local last = -math.huge
  table.sort(ends, function(a, b) return a.y < b.y end)
  for _, at in ipairs(ends) do
    last = math.max(at.y, last + 15)
    at.at = last
  end
  last = top + plot_height + 15
  for i = #ends, 1, -1 do
    local at = ends[i]
    last = math.min(at.at, last - 15)
    svg.text(at.x + 8, last + 4, at.line.label, { colour = at.colour,
      is_bold = at.line.is_ours })
  end
end

function chart.lines(what, theme)
  local svg = begin(left + plot_width + right, top + plot_height + bottom,
    what.title, theme)
  local x_at = scale(what.x_ticks, what.is_log, left, left + plot_width)
  local y_at = scale(what.y_ticks, what.is_log, top + plot_height, top)
  local ends = {}
  svg.text(16, 28, what.title, { size = 16, is_bold = true })
  draw_axes(svg, what, x_at, y_at, theme)
  for _, line in ipairs(what.lines) do
    local points = {}
    local colour = line.is_ours and theme.ours or line.colour
    for i, p in ipairs(line.points) do
      points[i] = { x_at(p[1]), y_at(p[2]) }
    end
    svg.path(points, colour, line.is_ours and 3 or 1.6)
    for _, p in ipairs(points) do
      svg.dot(p[1], p[2], line.is_ours and 3.5 or 2.2, colour)
    end
    local last = points[#points]
    if last then
      ends[#ends + 1] = { x = last[1], y = last[2], line = line,
        colour = colour }
    end
  end
  draw_labels(svg, ends)
  return svg.done()
end

return chart
