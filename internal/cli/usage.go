package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is a command line that says nothing useful.
type usageError struct {
	command string // path, for the next step
	text    string
}

func (e *usageError) Error() string { return e.text }

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), text: fmt.Sprintf(format, args...)}
}

// takes checks how many arguments there are; what names them in the message.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(cmd, "%s needs %s", cmd.CommandPath(), what)
		case most >= 0 && len(args) > most && most == 0:
			return usage(cmd, "%s takes no arguments, and got %q", cmd.CommandPath(), args[0])
		case most >= 0 && len(args) > most:
			return usage(cmd, "%s takes %s, and got %q besides", cmd.CommandPath(), what, args[most])
		}
		return nil
	}
}

// noun is for a command whose arguments can only be the verbs below it.
func noun(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, word string) error {
	err := usage(cmd, "there is no command %q below %s", word, cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return hinted(err, "Did you mean: %s %s", cmd.CommandPath(), strings.Join(near, ", "))
	}
	return hinted(err, "See what there is with: %s --help", cmd.CommandPath())
}
