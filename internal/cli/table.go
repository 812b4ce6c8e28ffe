package cli

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// table is rows under headings, in columns two spaces apart. On a terminal no
// line is longer than the screen: the widest cells are cut, and where that
// would leave nothing to read, the last columns are left out. In a pipe all is
// as it is.
type table struct {
	heads []string
	rows  [][]string
	tones map[int]func(cell string) tone // by column
}

func newTable(heads ...string) *table {
	return &table{heads: heads, tones: map[int]func(string) tone{}}
}

func (t *table) row(cells ...string) {
	clean := make([]string, len(cells))
	for i, cell := range cells {
		clean[i] = printable(cell)
	}
	t.rows = append(t.rows, clean)
}

// tone colours the cells of a column by what they say.
func (t *table) tone(column int, by func(cell string) tone) { t.tones[column] = by }

const (
	gap       = 2 // spaces between columns
	leastWide = 8 // a column that holds more is cut no narrower
	leftOut   = "…"
)

// print writes the table.
func (t *table) print(to screen) {
	t.dropEmpty()
	widths, shown := fit(t.widths(), to.width())
	heads := t.heads[:shown]
	if shown < len(t.heads) {
		heads = append(heads[:shown:shown], leftOut)
		widths = append(widths, len(leftOut))
	}
	t.line(to, heads, widths, func(int, string) tone { return faint })
	for _, row := range t.rows {
		t.line(to, row[:shown], widths, func(column int, cell string) tone {
			if by := t.tones[column]; by != nil {
				return by(row[column])
			}
			return plain
		})
	}
}

// dropEmpty leaves out last columns that say nothing in any row.
func (t *table) dropEmpty() {
	for len(t.heads) > 1 && len(t.rows) > 0 {
		last := len(t.heads) - 1
		for _, row := range t.rows {
			if row[last] != "" {
				return
			}
		}
		t.heads = t.heads[:last]
		for i := range t.rows {
			t.rows[i] = t.rows[i][:last]
		}
	}
}

// widths are those of the widest cells.
func (t *table) widths() []int {
	widths := make([]int, len(t.heads))
	for _, row := range append([][]string{t.heads}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	return widths
}

// fit makes the widths fit into a line of limit columns, or any when that is
// 0, and says how many of the columns are shown.
func fit(widths []int, limit int) (fitted []int, shown int) {
	if limit == 0 {
		return widths, len(widths)
	}
	for shown = len(widths); ; shown-- {
		room := limit - gap*(shown-1)
		if shown < len(widths) {
			room -= gap + 1 // for the sign that something is left out
		}
		if least := total(capped(widths[:shown], leastWide)); least <= room || shown == 1 {
			return narrowed(widths[:shown], max(room, 2)), shown
		}
	}
}

// narrowed cuts the widest columns until all have room.
func narrowed(widths []int, room int) []int {
	widest := 0
	for _, width := range widths {
		widest = max(widest, width)
	}
	for total(capped(widths, widest)) > room {
		widest--
	}
	narrow := capped(widths, widest)
	for i, spare := 0, room-total(narrow); i < len(narrow) && spare > 0; i++ {
		if narrow[i] < widths[i] { // a column each of what is left over
			narrow[i]++
			spare--
		}
	}
	return narrow
}

func capped(widths []int, most int) []int {
	cut := make([]int, len(widths))
	for i, width := range widths {
		cut[i] = min(width, most)
	}
	return cut
}

func total(widths []int) (sum int) {
	for _, width := range widths {
		sum += width
	}
	return sum
}

func (t *table) line(to screen, cells []string, widths []int, by func(int, string) tone) {
	var line strings.Builder
	for i, cell := range cells {
		if lipgloss.Width(cell) > widths[i] {
			cell = cut(cell, widths[i])
		}
		pad := widths[i] - lipgloss.Width(cell)
		line.WriteString(to.paint(by(i, cell), cell))
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", pad+gap))
		}
	}
	to.say("%s", strings.TrimRight(line.String(), " "))
}

// cut shortens text to so many columns and shows that it did.
func cut(text string, columns int) string {
	return lipgloss.NewStyle().MaxWidth(columns-1).Render(text) + leftOut
}

// facts are names and values, one a line, for one thing.
type facts struct{ rows [][2]string }

// add appends a fact; one without a value is left out.
func (f *facts) add(name, value string) {
	if value != "" {
		f.rows = append(f.rows, [2]string{name, value})
	}
}

func (f *facts) print(to screen) {
	width := 0
	for _, row := range f.rows {
		width = max(width, lipgloss.Width(row[0]))
	}
	for _, row := range f.rows {
		pad := strings.Repeat(" ", width-lipgloss.Width(row[0])+gap)
		to.say("%s%s%s", to.paint(faint, row[0]+":"), pad, printable(row[1]))
	}
}
