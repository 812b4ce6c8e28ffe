package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// addOld adds the words of Deis' command line that have another name here.
// They work, and are not in the help.
func (c *cli) addOld(root *cobra.Command) {
	pull := c.ofApp(c.buildCreateCmd())
	pull.Use = "pull IMAGE"
	for _, cmd := range []*cobra.Command{pull, c.transferCmd(), c.renameCmd()} {
		cmd.Hidden = true
		root.AddCommand(cmd)
	}
}

// oldWords are colon forms whose words differ here by more than the colon.
var oldWords = map[string][]string{
	"git:remove":   {"git", "remote", "remove"},
	"sharing:list": {"perms", "list"},
	"keys:create":  {"keys", "add"},
}

// oldFlags are flags whose letter means something else here, by colon form.
var oldFlags = map[string]map[string]string{
	"limits:set":   {"-c": "--cpu"},
	"limits:unset": {"-c": "--cpu"},
}

// modern turns the noun:verb of Deis' command line into noun verb; nil when it
// is none.
func modern(root *cobra.Command, args []string) []string {
	noun, verb, _ := strings.Cut(args[0], ":")
	words, ok := oldWords[args[0]]
	if !ok {
		words = []string{noun, verb}
	}
	if cmd, rest, err := root.Find(words); err != nil || cmd == root || verb == "" || len(rest) > 0 {
		return nil
	}
	words = slices.Clone(words)
	for _, arg := range args[1:] {
		if now, ok := oldFlags[args[0]][arg]; ok {
			arg = now
		}
		words = append(words, arg)
	}
	return words
}

// leading splits flags that stand before the command off, as Deis' clients had
// them: slipway -c staging apps:list.
func leading(args []string) (flags, rest []string) {
	for i := 0; i < len(args); {
		name, _, joined := strings.Cut(args[i], "=")
		n := 0
		switch name {
		case "--json":
			n = 1
		case "-c", "--context", "-a", "--app":
			if n = 2; joined {
				n = 1
			}
		}
		if n == 0 || i+n > len(args) {
			return args[:i], args[i:]
		}
		i += n
	}
	return args, nil
}
