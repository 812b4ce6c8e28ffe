// Package cli is the command line: it is handed arguments and the streams of
// a process, finds out which platform, user and app are meant, asks the
// platform through client, and hands back tables or JSON and an exit code.
//
// Nothing happens before a command runs: no file is read and no name looked
// up. Main adds the daemons' commands to what New returns.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

// Options are what the commands take from the process they run in.
type Options struct {
	// Version of this binary, such as 0.1.0.
	Version string
	// Stdin, Stdout and Stderr are os.Stdin, os.Stdout and os.Stderr when nil.
	// Only an *os.File can be a terminal.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env is the environment; nil: os.Environ().
	Env []string
	// Dir is the working directory; empty: the process's.
	Dir string
	// Now tells the time; nil: time.Now.
	Now func() time.Time
	// Doctor examines this machine; nil: there is nothing to examine.
	Doctor func(context.Context) []api.Finding
}

// GroupPlatform is the group in the help for what concerns the platform
// itself; main gives it to the daemons' commands.
const GroupPlatform = "platform"

const (
	groupStart  = "start"
	groupApp    = "app"
	groupRun    = "run"
	groupDoor   = "door"
	groupPeople = "people"
)

// cli holds what the commands of one process share: its streams, and the
// values of the flags they have in common.
type cli struct {
	opts   Options
	stdout screen
	stderr screen

	context string // --context
	app     string // --app
	json    bool   // --json
	wait    bool   // --wait, which is the default
	noWait  bool   // --no-wait

	heard atomic.Pointer[string] // what the platform says of what takes long
}

// New is the root of the command line, with every verb below it. Run it with
// Execute, under a context that does not end on signals: each verb listens for
// them itself.
func New(o Options) *cobra.Command {
	o = o.withDefaults()
	c := &cli{opts: o, wait: true, stdout: newScreen(o.Stdout, o.env), stderr: newScreen(o.Stderr, o.env)}
	c.stdout.lost = new(error)
	root := &cobra.Command{
		Use:   "slipway",
		Short: "From git push to a live, watched, reversible service",
		Long:  rootHelp,
		Example: `  slipway login                 # http://slipway.localhost:8080, or: slipway login URL
  slipway keys add              # the SSH key that may push
  slipway create blog           # an app, and the git remote "slipway"
  git push slipway main
  slipway open`,
		Args:               cobra.ArbitraryArgs,
		DisableFlagParsing: true, // what is no command may be a plugin, whose flags are its own
		SilenceErrors:      true,
		SilenceUsage:       true,
		RunE:               c.other,
	}
	root.SetIn(o.Stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommandGroupID(GroupPlatform)
	root.CompletionOptions.DisableDefaultCmd = true
	c.addVerbs(root)
	root.InitDefaultHelpCmd() // where there are others
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			cmd.Example = "  slipway help ps\n  slipway ps scale --help"
			cmd.Run, cmd.RunE = nil, helpOf
		}
	}
	offerNoFiles(root)
	return root
}

// addVerbs is the whole command line: each noun, and the short forms of what
// is typed most.
func (c *cli) addVerbs(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "First steps:"},
		&cobra.Group{ID: groupApp, Title: "An app (-a APP, or found from the git remote):"},
		&cobra.Group{ID: groupRun, Title: "How it runs:"},
		&cobra.Group{ID: groupDoor, Title: "How it is reached:"},
		&cobra.Group{ID: groupPeople, Title: "You and others:"},
		&cobra.Group{ID: GroupPlatform, Title: "The platform:"},
	)
	add := func(id string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	add(groupStart, c.registerCmd(), c.loginCmd(), c.createCmd(), c.appsCmd(), c.openCmd())
	add(groupApp, c.infoCmd(), c.logsCmd(), c.psCmd(), c.scaleCmd(), c.restartCmd(), c.runCmd(), c.execCmd(), c.releasesCmd(),
		c.rollbackCmd(), c.sbomCmd(), c.buildsCmd(), c.branchCmd(), c.gitCmd(), c.labelsCmd(), c.destroyCmd())
	add(groupRun, c.configCmd(), c.groupsCmd(), c.limitsCmd(), c.healthchecksCmd(), c.autoscaleCmd(), c.cronCmd(), c.timeoutsCmd(), c.lifecycleCmd(),
		c.tagsCmd(), c.registryCmd(), c.volumesCmd(), c.imagesCmd())
	add(groupDoor, c.domainsCmd(), c.certsCmd(), c.tlsCmd(), c.servicesCmd(), c.edgeCmd(), c.portsCmd(), c.cutoverCmd(), c.whitelistCmd(), c.maintenanceCmd(), c.routingCmd(),
		c.settingsCmd())
	add(groupPeople, c.whoamiCmd(), c.keysCmd(), c.tokensCmd(), c.permsCmd(), c.authCmd(), c.passwdCmd(), c.contextsCmd(), c.logoutCmd())
	add(GroupPlatform, c.stackCmd(), c.usersCmd(), c.auditCmd(), c.doctorCmd(), c.metricsCmd(), c.versionCmd(), c.completionCmd())
	c.addOld(root)
}

// offerNoFiles keeps a Tab from listing files where no command takes one.
func offerNoFiles(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 && !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range cmd.Commands() {
		offerNoFiles(below)
	}
}

const rootHelp = `Slipway takes your code from git push to a live, watched, reversible service.

Which app: -a APP, else $SLIPWAY_APP, else the git remote that leads to the platform.
Which platform: -c CONTEXT or $SLIPWAY_CONTEXT, else the one in use (slipway contexts).
For scripts: $SLIPWAY_URL and $SLIPWAY_TOKEN stand in for a login, --json gives every
answer as JSON (errors are words on stderr), and nothing asks questions unless it is on
a terminal.

Exit codes: 0 done; 1 failed; 2 wrong usage: what was given makes no sense, and the
platform was not asked; 3 there is no such thing, or no such file; 4 not logged in, or
not allowed; 5 refused at present (taken, busy); 6 the platform does not answer; 130
interrupted. "slipway run" passes on the command's own.

An unknown command NAME runs the program slipway-NAME, if there is one in $PATH.`

func (o Options) withDefaults() Options {
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// env is a variable of the environment; the last of several wins.
func (o Options) env(name string) string {
	value := ""
	for _, entry := range o.Env {
		if key, v, _ := strings.Cut(entry, "="); key == name {
			value = v
		}
	}
	return value
}

// verb is a command's body under a context that ends on SIGINT and SIGTERM.
func (c *cli) verb(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return body(ctx, args)
	}
}

// common gives a command, and those below it, the flags every verb has.
func (c *cli) common(cmd *cobra.Command) *cobra.Command {
	flags := cmd.PersistentFlags()
	flags.BoolVar(&c.json, "json", false, "print JSON in the shapes of the REST API")
	flags.StringVarP(&c.context, "context", "c", "", "use the platform saved under this `name`")
	must(cmd.RegisterFlagCompletionFunc("context", c.completeContexts))
	return cmd
}

// ofApp is common for a command that concerns one app.
func (c *cli) ofApp(cmd *cobra.Command) *cobra.Command {
	c.common(cmd).PersistentFlags().StringVarP(&c.app, "app", "a", "", "the app's `id`")
	must(cmd.RegisterFlagCompletionFunc("app", c.completeApps))
	return cmd
}

// must is for cobra's registrations, which fail only when a name is misspelt here.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
