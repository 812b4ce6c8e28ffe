package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// asks is a verb's body that is handed the platform it asks.
func (c *cli) asks(body func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return c.verb(func(ctx context.Context, args []string) error {
		s, err := c.connect()
		if err != nil {
			return err
		}
		return body(ctx, s, args)
	})
}

// asksOf is asks for a verb that concerns one app.
func (c *cli) asksOf(body func(ctx context.Context, s *session, app string, args []string) error) func(*cobra.Command, []string) error {
	return c.verb(func(ctx context.Context, args []string) error {
		s, app, err := c.connectApp(ctx)
		if err != nil {
			return err
		}
		return body(ctx, s, app, args)
	})
}

// asksWith is asksOf for a verb whose words are read before anything is asked.
func asksWith[T any](c *cli, read func(args []string) (T, error), body func(ctx context.Context, s *session, app string, read T) error) func(*cobra.Command, []string) error {
	return c.verb(func(ctx context.Context, args []string) error {
		v, err := read(args)
		if err != nil {
			return err
		}
		s, app, err := c.connectApp(ctx)
		if err != nil {
			return err
		}
		return body(ctx, s, app, v)
	})
}

// group is a noun's command: alone it does what list does, and below it are
// list and the verbs.
func group(name, short string, list func() *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd := list()
	cmd.Use, cmd.Short, cmd.Aliases, cmd.Args = name, short, nil, noun
	cmd.AddCommand(list())
	cmd.AddCommand(verbs...)
	return cmd
}

// page is a list as it is shown: what was found of how many, what to say when
// there is nothing, and the table.
type page[T any] struct {
	items []T
	total int // 0: all are shown
	none  string
	heads []string
	row   func(T) []string
	tones map[int]func(cell string) tone
}

func (p page[T]) show(c *cli) error {
	return c.answer(p.items, func() {
		if len(p.items) == 0 {
			c.none("%s", p.none)
			return
		}
		t := newTable(p.heads...)
		for column, by := range p.tones {
			t.tone(column, by)
		}
		for _, item := range p.items {
			t.row(p.row(item)...)
		}
		t.print(c.stdout)
		c.more(len(p.items), p.total)
	})
}
