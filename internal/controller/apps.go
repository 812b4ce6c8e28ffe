package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// CreateApp makes an app owned by the caller with its first release, settings
// and the domain equal to its id. An empty id is replaced by a generated one.
// A bounded token makes none. It waits for what is left of an app that had the
// id before.
func (c *Controller) CreateApp(ctx context.Context, caller platform.Caller, id string) (platform.App, error) {
	if caller.User == "" {
		return platform.App{}, platform.ErrUnauthenticated
	}
	if caller.Scope.Bounded() {
		return platform.App{}, fmt.Errorf("a bounded token makes no apps: %w", platform.ErrForbidden)
	}
	if id != "" {
		return c.createApp(ctx, caller, id)
	}
	for {
		app, err := c.createApp(ctx, caller, generatedID())
		var taken *platform.FieldError
		if !errors.As(err, &taken) || taken.Message != idTaken {
			return app, err
		}
	}
}

const idTaken = "Application with this id already exists."

func (c *Controller) createApp(ctx context.Context, caller platform.Caller, id string) (platform.App, error) {
	if err := c.freeID(ctx, caller, id); err != nil {
		return platform.App{}, err
	}
	rows := firstRows(caller.User, id)
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := errors.Join(c.left(tx, id), roomFor(tx, caller), c.nothingUnder(tx, caller, id)); err != nil {
			return err
		}
		if err := rows.insert(tx); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "app.created", id, nil))
	})
	if err != nil {
		return platform.App{}, err
	}
	c.hooks.announce(rows.release, "")
	c.noteConfig(rows.config)
	c.note(id, "INFO %s", rows.release.Summary)
	c.note(id, "INFO appsettings %s-%s updated", id, short(rows.settings.UUID))
	c.note(id, "INFO domain %s added", id)
	c.certify(ctx, id, false)
	c.wake(id)
	return rows.app, nil
}

// maxApps bounds the apps of one user; administrators have as many as they make.
const maxApps = 1000

func roomFor(tx *store.Tx, caller platform.Caller) error {
	if caller.Admin {
		return nil
	}
	owned, err := tx.AppIDs(caller.User, platform.RoleOwner)
	if err == nil && len(owned) >= maxApps {
		return platform.Invalid("id", "A user has at most %d applications", maxApps)
	}
	return err
}

// rows are what an app begins with.
type rows struct {
	app      platform.App
	config   platform.Config
	release  platform.Release
	settings platform.Settings
	tls      platform.TLS
	domain   platform.Domain
}

func firstRows(owner, id string) rows {
	now := time.Now().Truncate(time.Second).UTC()
	r := rows{
		app:      platform.App{UUID: uuid.NewString(), ID: id, Owner: owner, Formation: map[string]int{}, Created: now, Updated: now},
		config:   platform.Config{UUID: uuid.NewString(), App: id, Owner: owner, Created: now, Updated: now},
		settings: platform.Settings{UUID: uuid.NewString(), App: id, Owner: owner, Routable: true, Created: now, Updated: now},
		tls:      platform.TLS{UUID: uuid.NewString(), App: id, Owner: owner, Created: now, Updated: now},
		domain:   platform.Domain{Domain: id, App: id, Owner: owner, Created: now, Updated: now},
	}
	r.release = platform.Release{
		UUID: uuid.NewString(), App: id, Owner: owner, Version: 1, Config: r.config.UUID, Created: now, Updated: now,
		State: platform.ReleaseSucceeded, Summary: owner + " created initial release",
	}
	return r
}

// insert writes the rows in the order of the contract (2.3).
func (r rows) insert(tx *store.Tx) error {
	for _, insert := range []func() error{
		func() error { return tx.InsertApp(r.app) },
		func() error { return tx.InsertConfig(r.config) },
		func() error { _, err := tx.InsertRelease(r.release); return err },
		func() error { return tx.PutSettings(r.settings) },
		func() error { return tx.PutTLS(r.tls) },
		func() error { return domainFree(tx, r.app.ID) },
		func() error { return tx.InsertDomain(r.domain) },
	} {
		if err := insert(); err != nil {
			return err
		}
	}
	return nil
}

// domainFree refuses an id under whose name somebody's app is served.
func domainFree(tx *store.Tx, id string) error {
	_, err := tx.Domain(id)
	if err == nil {
		return platform.Invalid("id", idTaken)
	}
	return unless(err, platform.ErrNotFound)
}

func (c *Controller) noteConfig(config platform.Config) {
	c.note(config.App, "INFO config %s-%s updated", config.App, short(config.UUID))
}

// short is a uuid as the log shows it.
func short(id string) string { return id[:min(7, len(id))] }

// generatedID is <6 letters>-<8 letters>, such as dainty-quadrant.
func generatedID() string { return pick(adjectives) + "-" + pick(nouns) }

func pick(words []string) string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		return words[0] // crypto/rand.Reader never fails
	}
	return words[n.Int64()]
}

var (
	adjectives = []string{
		"bright", "breezy", "candid", "casual", "clever", "cosmic", "dainty", "daring", "divine", "earthy", "elated", "famous", "fluent", "frosty",
		"gentle", "gifted", "golden", "hearty", "honest", "humble", "jaunty", "jovial", "joyful", "kindly", "lively", "lovely", "mellow", "mighty",
		"modern", "nimble", "placid", "polite", "quaint", "quirky", "rustic", "serene", "silver", "simple", "snappy", "steady", "strong", "stable",
		"sturdy", "subtle", "superb", "tender", "trusty", "unique", "upbeat", "valued", "velvet", "vernal", "violet", "witted", "wooden", "worthy",
	}
	nouns = []string{
		"airplane", "airfield", "backbone", "backpack", "baritone", "bluebird", "boatyard", "calendar", "campfire", "carriage", "causeway", "champion",
		"coaching", "compiler", "corridor", "dolphins", "elephant", "festival", "filament", "fountain", "friction", "gatepost", "gondolas", "hedgerow",
		"highland", "hospital", "inventor", "jubilees", "keystone", "lacrosse", "landmark", "lanterns", "lemonade", "magnolia", "mainsail", "mariners",
		"marigold", "midnight", "moonbeam", "mountain", "navigate", "notebook", "ornament", "overture", "paradise", "platinum", "quadrant", "raindrop",
		"richness", "rosewood", "sapphire", "schooner", "shipyard", "slipways", "sunlight", "symphony", "tailwind", "tapestry", "treasure", "umbrella",
		"universe", "vanguard", "villager", "workshop",
	}
)

// Apps lists the apps the caller owns or shares, all for an admin, by id, and
// how many there are in all. A token for some apps sees those alone.
func (c *Controller) Apps(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.App, int, error) {
	user := caller.User
	if caller.Admin {
		user = ""
	} else if user == "" {
		return nil, 0, platform.ErrUnauthenticated
	}
	var apps []platform.App
	var count int
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if len(caller.Scope.Apps) > 0 {
			apps, count, err = scopedApps(tx, caller, page)
			return err
		}
		apps, count, err = tx.Apps(user, page)
		return err
	})
	return apps, count, err
}

// scopedApps is Apps for a token that names its apps, of which there are few.
func scopedApps(tx *store.Tx, caller platform.Caller, page platform.Page) ([]platform.App, int, error) {
	apps := []platform.App{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(caller.Scope.Apps))) {
		app, err := may(tx, caller, id, platform.RoleViewer)
		switch {
		case err == nil:
			apps = append(apps, app)
		case !errors.Is(err, platform.ErrNotFound) && !errors.Is(err, platform.ErrForbidden):
			return nil, 0, err
		}
	}
	count := len(apps)
	if page.Limit <= 0 {
		page.Limit = platform.DefaultPage
	}
	from := min(max(0, page.Offset), count)
	return apps[from:min(count, from+min(page.Limit, count))], count, nil
}

// App returns one app.
func (c *Controller) App(ctx context.Context, caller platform.Caller, id string) (platform.App, error) {
	return read(ctx, c, caller, id, platform.RoleViewer, func(_ *store.Tx, app platform.App) (platform.App, error) { return app, nil })
}

// goneWait bounds how long a verb waits for the last instance of an id.
const goneWait = 2 * time.Minute

// DestroyApp ends everything of an app and forgets it, history and logs
// included. It returns when nothing of it runs.
func (c *Controller) DestroyApp(ctx context.Context, caller platform.Caller, id string) error {
	// The row first: from then on the app's lane, now or after a crash, takes
	// away whatever is left.
	var ids []string // those that something of it has
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		ids = nil
		app, err := may(tx, caller, id, platform.RoleAdmin)
		if err != nil {
			return err
		}
		if err := forgetApp(tx, app); err != nil {
			return err
		}
		if err := tx.DeleteApp(id); err != nil {
			return err
		}
		if err := tx.InsertEvent(event(caller, "app.destroyed", id, nil)); err != nil {
			return err
		}
		ids = append(ids, id)
		if app.RenamedFrom != "" {
			ids = append(ids, app.RenamedFrom)
		}
		c.mark(true, ids...) // here, so that nobody gets an id between the two
		return nil
	})
	if err != nil {
		c.mark(false, ids...)
		return err
	}
	for _, left := range ids {
		c.wake(left)
	}
	c.notices.publish(id) // a rollout that waits sees that its row is gone
	if err := c.recron(context.WithoutCancel(ctx), id); err != nil {
		return err
	}
	err = c.awaitGone(context.WithoutCancel(ctx), id)
	if errors.Is(err, context.DeadlineExceeded) {
		return &platform.UserError{Kind: platform.ErrUnavailable, Message: fmt.Sprintf("app %s is destroyed; its last instances are still leaving", id)}
	}
	return err
}

// awaitGone blocks until nothing is left of an app that had the id: of one that
// was destroyed or has another id. context.DeadlineExceeded after goneWait.
func (c *Controller) awaitGone(ctx context.Context, id string) error {
	wait, cancel := context.WithTimeout(ctx, goneWait)
	defer cancel()
	return c.await(wait, id, nil, func() (bool, error) { return !c.isDestroying(id), nil })
}

// mark notes whether something is left of ids that no app has.
func (c *Controller) mark(destroying bool, ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if destroying {
			c.destroying[id] = true
		} else {
			delete(c.destroying, id)
		}
	}
}

func (c *Controller) isDestroying(app string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.destroying[app]
}
