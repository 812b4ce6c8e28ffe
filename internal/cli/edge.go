package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const edgeLong = `Show and change what the routers do for an app: timeouts, body sizes, compression, redirects, passwords, pages, limits,
balancing, overload control. It takes effect at once, makes no release, and stays through deploys and rollbacks.

What is shown can be typed again: slipway edge set WORD=VALUE. A word that is not set is the router's own default.`

func (c *cli) edgeCmd() *cobra.Command {
	cmd := group("edge", "Show and change what the routers do for an app", c.edgeListCmd, c.edgeStatusCmd(), c.edgeSetCmd(), c.edgeUnsetCmd(),
		c.edgeAuthCmd(), c.edgePageCmd(), c.edgeApplyCmd(), c.edgeResetCmd())
	cmd.Long = edgeLong
	cmd.Example = `  slipway edge
  slipway edge set timeout=30s max-body=10M compress=zstd,br,gzip
  slipway edge set redirect='/old -> /new' header='X-Frame-Options: DENY'
  slipway edge unset timeout
  slipway edge auth add bob`
	return c.ofApp(cmd)
}

func (c *cli) edgeListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls", "info", "show"}, Short: "Show what is set", Long: edgeLong,
		Example: "  slipway edge list\n  slipway edge --json > edge.json", Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			edge, err := s.Edge(ctx, app)
			if err != nil {
				return err
			}
			return c.showEdge(app, edge)
		}),
	}
}

func (c *cli) showEdge(app string, edge api.Edge) error {
	return c.answer(edge, func() {
		rows := edgeRows(edge)
		if len(rows) == 0 {
			c.none("Nothing is set at the edge of %s: the routers' own defaults hold. Set something with: slipway edge set timeout=30s", app)
			return
		}
		t := newTable("WORD", "VALUE")
		for _, row := range rows {
			t.row(row[0], row[1])
		}
		t.print(c.stdout)
	})
}

// edgeTries is how often a change is made anew because another came between.
const edgeTries = 5

// changeEdge has change say what is to be made of what is there, makes it so and
// shows what is then; what is so already is done. Nobody else's change is lost
// by it: where one comes between, change is asked again.
func (c *cli) changeEdge(ctx context.Context, s *session, app string, change func(*edgeChange) error) error {
	for try := 1; ; try++ {
		e := &edgeChange{patch: map[string]any{}, read: c.readFile}
		var err error
		if e.now, e.tag, err = s.EdgeAt(ctx, app); err != nil {
			return err
		}
		if err := change(e); err != nil {
			return err
		}
		edge, err := s.PatchEdgeAt(ctx, app, e.tag, e.patch)
		switch {
		case unchanged(err):
			edge, err = s.Edge(ctx, app)
		case errors.Is(err, platform.ErrStale) && try < edgeTries:
			continue
		}
		if err != nil {
			return err
		}
		return c.showEdge(app, edge)
	}
}

func (c *cli) edgeSetCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "set WORD=VALUE...",
		Short: "Set some words",
		Long: "Set some words; those not named stay. A word that holds a list, such as redirect, gets one more, or another in the place of\n" +
			"the one it begins like. It takes effect at once and makes no release.\n\n" + edgeWordsHelp(),
		Example: `  slipway edge set timeout=30s max-body=10M
  slipway edge set hsts=1y,subdomains
  slipway edge set redirect='/old -> https://example.com/new'
  slipway edge set redirect='www.example.com -> https://example.com{path}?{query}'
  slipway edge set header='X-Frame-Options: DENY' remove-header=Server
  slipway edge set deny=10.0.0.0/8,192.0.2.7
  slipway edge set match='cookie beta=1 -> canary'
  slipway edge set sticky=cookie slow-start=30s hedge=200ms
  slipway edge set rate='client 10/s burst 20 on /login'
  slipway edge set overload=on overload-limit=8 class='critical POST /checkout'`,
		Args: takes(1, -1, "WORD=VALUE"), ValidArgsFunction: completeEdgeSet,
		RunE: asksWith(c, edgeAssignments, func(ctx context.Context, s *session, app string, words []assignment) error {
			return c.changeEdge(ctx, s, app, func(change *edgeChange) error {
				for _, w := range words {
					if err := w.word.set(change, w.value); err != nil {
						return &usageError{"slipway edge set", w.word.name + ": " + err.Error()}
					}
				}
				return nil
			})
		}),
	}
}

func (c *cli) edgeUnsetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "unset WORD[=VALUE]...", Aliases: []string{"rm", "remove"}, Short: "Take words away",
		Long: "Take words away, so that the routers' own defaults hold again. Of a word that holds a list, =VALUE takes one item away, by what\n" +
			"it begins with.",
		Example: `  slipway edge unset timeout max-body
  slipway edge unset redirect             # all of them
  slipway edge unset redirect=/old        # this one
  slipway edge unset header=X-Frame-Options deny=10.0.0.0/8 page=404`,
		Args: takes(1, -1, "a WORD"), ValidArgsFunction: c.completeEdgeUnset,
		RunE: asksWith(c, edgeRemovals, func(ctx context.Context, s *session, app string, words []assignment) error {
			return c.changeEdge(ctx, s, app, func(change *edgeChange) error {
				for _, w := range words {
					if err := w.word.unset(change, w.value); err != nil {
						return hinted(because(platform.ErrNotFound, "%s: %v", w.word.name, err), "See what is set with: slipway edge")
					}
				}
				return nil
			})
		}),
	}
}

func (c *cli) edgeAuthCmd() *cobra.Command {
	const long = `Ask everybody who comes to the app for a name and a password (HTTP Basic). Passwords are kept as hashes, which nobody is shown.
The names say who may come in; when the last one goes, everybody may again.`
	cmd := group("auth", "Ask visitors for a name and a password", c.edgeAuthListCmd, c.edgeAuthAddCmd(), c.edgeAuthRemoveCmd())
	cmd.Long = long
	cmd.Example = "  slipway edge auth\n  slipway edge auth add bob\n  slipway edge auth remove bob"
	return cmd
}

func (c *cli) edgeAuthListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show who may come in", Long: "Show the names of those who may come in. Passwords are shown to nobody.",
		Example: "  slipway edge auth list", Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			edge, err := s.Edge(ctx, app)
			if err != nil {
				return err
			}
			var users map[string]string
			if edge.Auth != nil {
				users = edge.Auth.Users
			}
			return page[string]{
				items: sortedKeys(users), none: "Everybody may come to " + app + ". Ask for a password with: slipway edge auth add NAME",
				heads: []string{"NAME"}, row: func(name string) []string { return []string{name} },
			}.show(c)
		}),
	}
}

func (c *cli) edgeAuthAddCmd() *cobra.Command {
	var stdin bool
	var realm string
	cmd := &cobra.Command{
		Use: "add NAME", Aliases: []string{"set"}, Short: "Let somebody in, or change their password",
		Long: fmt.Sprintf("Let somebody in, or change their password, which has %d to %d bytes. From then on everybody is asked.",
			platform.MinVisitorPassword, platform.MaxVisitorPassword),
		Example: "  slipway edge auth add bob\n  echo \"$PASSWORD\" | slipway edge auth add bob --password-stdin",
		Args:    takes(1, 1, "one NAME"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			password, err := c.newPassword(ctx, stdin)
			if err != nil {
				return err
			}
			auth := map[string]any{"users": map[string]any{args[0]: password}}
			if realm != "" {
				auth["realm"] = realm
			}
			return c.letIn(ctx, s, app, "", auth)
		}),
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from stdin")
	cmd.Flags().StringVar(&realm, "realm", "", "what browsers `say` they are asked for")
	return cmd
}

// letIn changes who may come in, of an edge that has a tag, where one is said.
func (c *cli) letIn(ctx context.Context, s *session, app, tag string, auth any) error {
	edge, err := s.PatchEdgeAt(ctx, app, tag, map[string]any{"auth": auth})
	if err != nil {
		return err
	}
	return c.answer(edge, func() {
		if edge.Auth == nil {
			c.stdout.say("Everybody may come to %s.", app)
			return
		}
		c.stdout.say("%s may come to %s, and nobody else.", strings.Join(sortedKeys(edge.Auth.Users), ", "), app)
	})
}

func (c *cli) edgeAuthRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME...", Aliases: []string{"rm"}, Short: "Let somebody in no longer",
		Long: "Let somebody in no longer. When the last one goes, everybody may come in again.", Example: "  slipway edge auth remove bob",
		Args: takes(1, -1, "a NAME"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			edge, err := s.Edge(ctx, app)
			if err != nil || edge.Auth == nil {
				return nil, err
			}
			return sortedKeys(edge.Auth.Users), nil
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			edge, tag, err := s.EdgeAt(ctx, app)
			if err != nil {
				return err
			}
			left := map[string]string{}
			if edge.Auth != nil {
				left = maps.Clone(edge.Auth.Users)
			}
			users := map[string]any{}
			for _, name := range args {
				if _, ok := left[name]; !ok {
					return hinted(because(platform.ErrNotFound, "%q is not let in", name), "See who is with: slipway edge auth")
				}
				delete(left, name)
				users[name] = nil
			}
			if len(left) == 0 {
				return c.letIn(ctx, s, app, tag, nil) // who was let in meanwhile would find the app open
			}
			return c.letIn(ctx, s, app, "", map[string]any{"users": users})
		}),
	}
}

// maxEdgeFile bounds what is read of a file; the platform bounds it further.
const maxEdgeFile = 1 << 20

func (c *cli) edgePageCmd() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use: "page NAME [FILE]", Aliases: []string{"pages"}, Short: "Show, set or remove a page of the router's own",
		Long: `Show, set or remove the HTML of what the router answers by itself: 404 or another status, 4xx or 5xx for all that has none of its
own, or maintenance. What the app itself answers is never replaced.`,
		Example: `  slipway edge page 503 busy.html
  slipway edge page maintenance - < later.html
  slipway edge page 503                  # show it
  slipway edge page 503 --remove`,
		Args: takes(1, 2, "a NAME and a FILE"),
		ValidArgsFunction: func(_ *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(typed) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return []string{"maintenance", "404", "502", "503", "504", "4xx", "5xx"}, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			switch {
			case remove && len(args) == 2:
				return &usageError{"slipway edge page", "a FILE and --remove exclude one another"}
			case remove:
				return c.setPage(ctx, s, app, args[0], nil)
			case len(args) == 1:
				return c.showPage(ctx, s, app, args[0])
			}
			html, err := c.readFile(args[1], maxEdgeFile)
			if err != nil {
				return err
			}
			return c.setPage(ctx, s, app, args[0], &html)
		}),
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove it")
	return cmd
}

func (c *cli) showPage(ctx context.Context, s *session, app, name string) error {
	edge, err := s.Edge(ctx, app)
	if err != nil {
		return err
	}
	html, ok := edge.Pages[name]
	if !ok {
		return hinted(because(platform.ErrNotFound, "%s has no page for %s", app, name), "Set one with: slipway edge page %s FILE", name)
	}
	return c.answer(map[string]string{name: html}, func() { fmt.Fprint(c.stdout, html) })
}

func (c *cli) setPage(ctx context.Context, s *session, app, name string, html *string) error {
	edge, err := s.PatchEdge(ctx, app, map[string]any{"pages": map[string]*string{name: html}})
	if err != nil && !unchanged(err) {
		return err
	}
	return c.answer(edge, func() {
		if html == nil {
			c.stdout.say("%s has no page of its own for %s.", app, name)
			return
		}
		c.stdout.say("%s answers %s with a page of %d bytes.", app, name, len(*html))
	})
}

func (c *cli) edgeApplyCmd() *cobra.Command {
	var file string
	var replace bool
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Set what a file says",
		Long: `Set what a file says, in the JSON that "slipway edge --json" prints. Words that it does not name stay, unless --replace is given; null
takes one away. Asterisks in the place of a password leave the one that is set.`,
		Example: "  slipway edge --json > edge.json\n  slipway edge apply edge.json\n  slipway edge apply --replace - < edge.json",
		Args:    takes(0, 1, "one FILE"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			file := cmp.Or(file, first(args))
			if file == "" {
				return &usageError{"slipway edge apply", "slipway edge apply needs a FILE"}
			}
			text, err := c.readFile(file, maxEdgeFile)
			if err != nil {
				return err
			}
			var patch map[string]any
			if err := json.Unmarshal([]byte(text), &patch); err != nil || patch == nil {
				return hinted(platform.Invalid("", "%s is no JSON object: %v", file, err), "Begin with: slipway edge --json > edge.json")
			}
			return c.changeEdge(ctx, s, app, func(change *edgeChange) error {
				change.patch = maps.Clone(patch)
				if replace {
					return replacing(change.now, change.patch)
				}
				change.tag = "" // it says all of what it names
				return nil
			})
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the `file`; - is stdin")
	cmd.Flags().BoolVar(&replace, "replace", false, "take away what the file does not name")
	must(cmd.MarkFlagFilename("file", "json"))
	return cmd
}

// replacing has a patch take away what is set and not in it.
func replacing(edge api.Edge, patch map[string]any) error {
	text, err := json.Marshal(edge)
	if err != nil {
		return err
	}
	var now map[string]any
	if err := json.Unmarshal(text, &now); err != nil {
		return err
	}
	takeAway(now, patch)
	return nil
}

func takeAway(now, patch map[string]any) {
	for name, value := range now {
		wanted, named := patch[name]
		below, isObject := value.(map[string]any)
		words, merges := wanted.(map[string]any)
		switch {
		case !named:
			patch[name] = nil
		case isObject && merges:
			takeAway(below, words)
		}
	}
}

func (c *cli) edgeResetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: "Take everything away", Long: "Take everything away that is set, passwords and denied networks too: the routers' own defaults hold again.",
		Example: "  slipway edge reset", Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			if err := s.ResetEdge(ctx, app); err != nil && !unchanged(err) {
				return err
			}
			return c.answer(api.Edge{}, func() { c.stdout.say("Nothing is set at the edge of %s.", app) })
		}),
	}
}
