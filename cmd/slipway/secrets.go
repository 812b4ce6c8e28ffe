package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

// ring is the keys that secrets are sealed under: those of the environment, or
// those of the key file, which is made when it is not there. The control plane
// and the node of one machine share them. The environment is taken: the
// processes this one starts do not have it.
func (o *options) ring() (*secret.Ring, error) {
	if keys := os.Getenv(secret.EnvironmentVariable); keys != "" {
		o.secretKeys = keys
		_ = os.Unsetenv(secret.EnvironmentVariable) // fails for malformed names only
	}
	if o.secretKeys != "" {
		return secret.FromEnvironment(o.secretKeys)
	}
	return secret.OpenFile(o.secretKeyFile())
}

// withSecretKeys is the environment of a node: it shares the keys.
func (o *options) withSecretKeys(environ []string) []string {
	if o.secretKeys == "" {
		return environ
	}
	return append(environ, secret.EnvironmentVariable+"="+o.secretKeys)
}

func secretsCommand() *cobra.Command {
	cmd := cli.Noun(&cobra.Command{
		Use:   "secrets",
		Short: "The keys that config and certificates are sealed under",
		Long: `What must not be read on a disk (values of config, logins of registries, keys of certificates) is sealed
under the newest key of the key file, secret.key in the state directory. Whoever has the database and not this file
reads none of it; whoever loses the file has lost the config: keep a copy, and not beside the backups.

These verbs are for the machine of the control plane, whether it runs or not.`,
		Example: "  sudo slipway secrets status\n  sudo slipway secrets rotate",
	})
	cmd.AddCommand(
		secretsVerb("rotate", "Make a fresh key and seal everything anew", `  sudo slipway secrets rotate`, rotateSecrets),
		secretsVerb("status", "Show how many rows are sealed under which key", `  sudo slipway secrets status`, secretsStatus),
	)
	return cmd
}

// secretsVerb is a command that takes the options of serve; those that say
// where secrets are, are shown.
func secretsVerb(name, short, example string, run func(context.Context, io.Writer, *options) error) *cobra.Command {
	var o options
	var file string
	cmd := &cobra.Command{
		Use: name, Short: short, Example: example, Args: cli.TakesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.fill(cmd, file, os.Getenv); err != nil {
				return cli.WrongUsage(cmd, err)
			}
			return run(cmd.Context(), cmd.OutOrStdout(), &o)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", os.Getenv("SLIPWAY_CONFIG"), "file of options, a line \"name = value\" each")
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = !slices.Contains([]string{"state", "database", "secret-key-file", "config"}, flag.Name)
	})
	return cmd
}

// openSecrets opens what serve has made, and makes nothing.
func openSecrets(ctx context.Context, o *options) (*store.Store, *secret.Ring, error) {
	if _, err := os.Stat(o.databaseURL()); o.Database == "" && isMissing(err) {
		return nil, nil, &platform.UserError{Kind: platform.ErrNotFound, Message: "no platform has its state in " + o.State, Cure: "Name its directory with: --state DIRECTORY"}
	}
	if os.Getenv(secret.EnvironmentVariable) == "" {
		if _, err := os.Stat(o.secretKeyFile()); err != nil {
			return nil, nil, named("key file", err)
		}
	}
	ring, err := o.ring()
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := store.OpenAsIs(ctx, log, o.databaseURL(), ring)
	return db, ring, err
}

func rotateSecrets(ctx context.Context, out io.Writer, o *options) error {
	if os.Getenv(secret.EnvironmentVariable) != "" {
		return &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: "the keys come from " + secret.EnvironmentVariable + ", which this command cannot change",
			Cure: "Put a fresh key (openssl rand -base64 32) before the others there, with a comma between, and restart `slipway serve` and\n" +
				"`slipway node`: the start seals everything anew. Take the old key away once `slipway secrets status` does not need it.",
		}
	}
	db, ring, err := openSecrets(ctx, o)
	if err != nil {
		return err
	}
	id, err := ring.Rotate()
	if err != nil {
		return errors.Join(err, db.Close())
	}
	rows, err := db.Reseal(ctx)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("key %s is the newest in %s, but not all is sealed under it; the next start of `slipway serve` goes on with it: %w", id, o.secretKeyFile(), err)
	}
	fmt.Fprintf(out, "Key %s is the newest in %s; %d rows are sealed under it.\n", id, o.secretKeyFile(), rows)
	fmt.Fprintln(out, "The older keys still stand below it. `slipway secrets status` tells which of them nothing needs.")
	return nil
}

func secretsStatus(ctx context.Context, out io.Writer, o *options) error {
	db, ring, err := openSecrets(ctx, o)
	if err != nil {
		return err
	}
	rows := make(map[string]int)
	err = db.Read(ctx, func(tx *store.Tx) error {
		found, err := tx.SealedUnder()
		for _, under := range found {
			rows[under.Key] = under.Rows
		}
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return showSecrets(out, ring.KeyIDs(), rows)
}

// showSecrets tells of each key, the newest first, and of keys that rows need
// and nobody has, which is an error.
func showSecrets(out io.Writer, have []string, rows map[string]int) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tROWS\t")
	missing := 0
	for i, id := range have {
		what := "older"
		switch {
		case i == 0:
			what = "newest"
		case rows[id] == 0:
			what = "older, no row needs it"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", id, rows[id], what)
		delete(rows, id)
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		n := rows[id]
		if id == "" {
			fmt.Fprintf(table, "none\t%d\tnot sealed yet: the next start does it\n", n)
			continue
		}
		missing += n
		fmt.Fprintf(table, "%s\t%d\tMISSING: put that key back, below the newest\n", id, n)
	}
	if err := table.Flush(); err != nil || missing == 0 {
		return err
	}
	return fmt.Errorf("%d rows are sealed under keys that are not there", missing)
}
