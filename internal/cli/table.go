package cli

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// table is rows under headings, in columns two spaces apart. On a terminal the
// last column is cut where the line would end; in a pipe nothing is.
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

const gap = 2 // spaces between columns

// leastLast is the width the last column keeps on the narrowest terminal.
const leastLast = 12

// print writes the table; headings are only for people.
func (t *table) print(to screen) {
	t.dropEmpty()
	widths := t.widths(to.width())
	t.line(to, t.heads, widths, func(int, string) tone { return faint })
	for _, row := range t.rows {
		t.line(to, row, widths, func(column int, cell string) tone {
			if by := t.tones[column]; by != nil {
				return by(cell)
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

func (t *table) widths(limit int) []int {
	widths := make([]int, len(t.heads))
	for _, row := range append([][]string{t.heads}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	if limit == 0 {
		return widths
	}
	before := 0
	for _, width := range widths[:len(widths)-1] {
		before += width + gap
	}
	last := &widths[len(widths)-1]
	*last = min(*last, max(limit-before, leastLast))
	return widths
}

func (t *table) line(to screen, cells []string, widths []int, by func(int, string) tone) {
	var line strings.Builder
	for i, cell := range cells {
		pad := widths[i] - lipgloss.Width(cell)
		if pad < 0 {
			cell, pad = cut(cell, widths[i]), 0
		}
		line.WriteString(to.paint(by(i, cell), cell))
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", pad+gap))
		}
	}
	to.say("%s", strings.TrimRight(line.String(), " "))
}

// cut shortens text to so many columns and shows that it did.
func cut(text string, columns int) string {
	return lipgloss.NewStyle().MaxWidth(columns-1).Render(text) + "…"
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
