package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a command line that says nothing useful.
type usageError struct {
	command string // path, for the next step; empty: text says what to do
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

// helpOf is the help of the command that the words name.
func helpOf(cmd *cobra.Command, words []string) error {
	found, rest, err := cmd.Root().Find(words)
	switch {
	case err != nil:
		return usage(cmd, "%v", err)
	case len(rest) > 0:
		return unknownCommand(found, rest[0])
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}

// flagError says what is wrong with a flag in words, not those of a parser.
func flagError(cmd *cobra.Command, err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return usage(cmd, "%v", err)
	}
	flag := wrong.GetFlag()
	kind, known := map[string]string{
		"int": "a whole number", "int64": "a whole number", "bool": "true or false", "duration": "a time, such as 90s or 15m",
	}[flag.Value.Type()]
	if !known {
		return usage(cmd, "--%s: %q: %v", flag.Name, wrong.GetValue(), errors.Unwrap(err))
	}
	return usage(cmd, "--%s: %q is not %s", flag.Name, wrong.GetValue(), kind)
}

// WrongUsage is err, which a command that is not of this package found in what
// it was given, as wrong usage of it; a file that cannot be read stays what it is.
func WrongUsage(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok || err == nil {
		return err
	}
	return usage(cmd, "%v", err)
}

// TakesNothing is for the arguments of such a command.
func TakesNothing(cmd *cobra.Command, args []string) error { return takes(0, 0, "")(cmd, args) }

// Noun is a command that only has verbs: alone it is its help.
func Noun(cmd *cobra.Command) *cobra.Command {
	cmd.Args = noun
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}
