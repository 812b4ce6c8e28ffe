package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// deploys gives a verb that waits for instances the choice not to.
func (c *cli) deploys(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&c.wait, "wait", true, "return when it serves, or has failed")
	cmd.Flags().BoolVar(&c.noWait, "no-wait", false, "return when the platform has accepted the change")
	return cmd
}

// waits reports whether to wait until a change serves.
func (c *cli) waits() bool { return c.wait && !c.noWait }

// change is what takes until instances are well.
type change struct {
	text string // what is being done
	// work does it, blocks until it is done, and words the outcome.
	work func(context.Context) (done string, err error)
	// taken words what the platform's rows have of it already; "" for nothing.
	taken func(context.Context) (string, error)
}

// apply does the change, or with --no-wait sees it accepted. The platform
// finishes what it has accepted, whoever listens.
func (c *cli) apply(ctx context.Context, ch change) error {
	return c.during(ch.text, func() (string, error) {
		if c.waits() {
			return ch.work(ctx)
		}
		return accepted(ctx, ch)
	})
}

// beat is how often the platform is asked whether it has accepted a change.
const beat = 100 * time.Millisecond

// accepted sends the change and returns when its row stands, or it has ended.
func accepted(ctx context.Context, ch change) (string, error) {
	type outcome struct {
		done string
		err  error
	}
	working, leave := context.WithCancel(ctx)
	ended := make(chan outcome, 1)
	var work sync.WaitGroup
	work.Go(func() {
		done, err := ch.work(working)
		ended <- outcome{done, err}
	})
	defer work.Wait()
	defer leave()
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for {
		select {
		case o := <-ended:
			return o.done, o.err
		case <-ticks.C:
		}
		text, err := ch.taken(ctx)
		if err != nil || text == "" {
			continue // the change itself tells what is wrong
		}
		select {
		case o := <-ended: // refused meanwhile: the row is another's
			return o.done, o.err
		default:
			return text, nil
		}
	}
}

// newRelease is a change that makes a release.
type newRelease struct {
	doing string // "Setting A on blog"
	// about are words of which the release's summary holds one at least, by
	// which it is told from one that is made for another reason meanwhile.
	about []string
	// work makes it, and says how to know it among the app's releases.
	work func(context.Context) (isIt func(api.Release) bool, err error)
}

// release makes one, tells its version and receipt, and answers with it. A
// change that changes nothing is done already.
func (c *cli) release(ctx context.Context, s *session, app string, r newRelease) error {
	before, me, err := c.beforeRelease(ctx, s, app)
	if err != nil {
		return err
	}
	var made, seen *api.Release // by the change itself, and by looking on
	err = c.apply(ctx, change{
		text: r.doing,
		work: func(ctx context.Context) (string, error) {
			isIt, err := r.work(ctx)
			switch {
			case unchanged(err):
				made = s.newest(ctx, app, nil)
				return "nothing to change", nil
			case err != nil:
				return "", err
			}
			made = s.newest(ctx, app, isIt)
			return "done, " + releaseWords(made), nil
		},
		taken: func(ctx context.Context) (string, error) {
			seen = s.newest(ctx, app, nil)
			if seen == nil || seen.Version <= before || me != "" && seen.Owner != me || !mentions(seen.Summary, r.about) {
				return "", nil
			}
			return fmt.Sprintf("accepted as v%d: see slipway releases info v%d -a %s", seen.Version, seen.Version, app), nil
		},
	})
	if err != nil {
		return err
	}
	if made == nil {
		made = seen
	}
	return c.answer(made, func() {})
}

// beforeRelease is what tells a new release from those there were, and from
// those of others; needed only by whoever does not wait.
func (c *cli) beforeRelease(ctx context.Context, s *session, app string) (version int, me string, err error) {
	if c.waits() {
		return 0, "", nil
	}
	releases, _, err := s.Releases(ctx, app, 1)
	if err != nil {
		return 0, "", err
	}
	if len(releases) > 0 {
		version = releases[0].Version
	}
	if me = s.profile.Username; me == "" {
		if user, err := s.WhoAmI(ctx); err == nil { // a scoped token may not ask
			me = user.Username
		}
	}
	return version, me, nil
}

// mentions reports whether text holds one of the words, if there are any.
func mentions(text string, words []string) bool {
	for _, word := range words {
		if regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(word) + `(\W|$)`).MatchString(text) {
			return true
		}
	}
	return len(words) == 0
}

// unchanged reports whether the platform refused because all is so already.
func unchanged(err error) bool {
	return errors.Is(err, platform.ErrConflict) && strings.Contains(err.Error(), "changed nothing")
}

// newest is the app's newest release that isIt accepts, if that can be told,
// else the newest; nil when even that cannot.
func (s *session) newest(ctx context.Context, app string, isIt func(api.Release) bool) *api.Release {
	many := 1
	if isIt != nil {
		many = 10 // others may have made some meanwhile
	}
	releases, _, err := s.Releases(ctx, app, many)
	if err != nil || len(releases) == 0 {
		return nil
	}
	for i := range releases {
		if isIt != nil && isIt(releases[i]) {
			return &releases[i]
		}
	}
	return &releases[0]
}

// releaseWords words a release: its version, and its receipt.
func releaseWords(r *api.Release) string {
	if r == nil {
		return "a new release"
	}
	text := fmt.Sprintf("v%d", r.Version)
	if receipt := receiptText(r.Receipt); receipt != "" {
		text += ": " + receipt
	}
	return text
}

// patchConfig changes a part of the config as a new release.
func (c *cli) patchConfig(ctx context.Context, s *session, app, doing string, about []string, patch api.ConfigPatch) error {
	return c.release(ctx, s, app, newRelease{
		doing: doing + " on " + app, about: about,
		work: func(ctx context.Context) (func(api.Release) bool, error) {
			config, err := s.SetConfig(ctx, app, patch)
			return withConfig(config), err
		},
	})
}

func withConfig(config api.Config) func(api.Release) bool {
	return func(r api.Release) bool { return r.Config == config.UUID && config.UUID != "" }
}
