// Ledger writes many apps with many releases straight into a store, and asks a
// running platform for them. It is run by bench/controller.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

func main() {
	var o options
	flag.StringVar(&o.database, "fill", "", "database to fill; empty: ask")
	flag.StringVar(&o.key, "key", "", "secret key file of that database")
	flag.IntVar(&o.apps, "apps", 10000, "how many apps")
	flag.IntVar(&o.releases, "releases", 20, "how many releases of each")
	flag.StringVar(&o.api, "api", "127.0.0.1:8000", "address of the API")
	flag.StringVar(&o.token, "token", "", "token of an administrator")
	flag.IntVar(&o.asks, "asks", 2000, "how many requests of each kind")
	flag.Parse()
	do := ask
	if o.database != "" {
		do = fill
	}
	if err := do(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

type options struct {
	database, key, api, token string
	apps, releases, asks      int
}

func name(i int) string { return fmt.Sprintf("ledger-%05d", i) }

// batch is how many apps are written in one transaction.
const batch = 100

// fill adds the apps; each tenth has a build, none runs anything.
func fill(ctx context.Context, o options) error {
	ring, err := secret.OpenFile(o.key)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, slog.New(slog.DiscardHandler), o.database, ring)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.Write(ctx, func(tx *store.Tx) error {
		for i := range 100 {
			if err := tx.InsertUser(platform.User{Username: fmt.Sprintf("ledger%d", i), Active: true}, ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for from := 0; from < o.apps; from += batch {
		err := db.Write(ctx, func(tx *store.Tx) error {
			for i := from; i < min(from+batch, o.apps); i++ {
				if err := add(tx, i, o.releases); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// add writes one app with its history, as the platform does.
func add(tx *store.Tx, i, releases int) error {
	id, owner, now := name(i), fmt.Sprintf("ledger%d", i%100), time.Now()
	steps := []func() error{
		func() error {
			return tx.InsertApp(platform.App{UUID: uuid.NewString(), ID: id, Owner: owner, Created: now, Updated: now})
		},
		func() error {
			return tx.PutSettings(platform.Settings{UUID: uuid.NewString(), App: id, Owner: owner, Routable: true, Created: now, Updated: now})
		},
		func() error {
			return tx.PutTLS(platform.TLS{UUID: uuid.NewString(), App: id, Owner: owner, Created: now, Updated: now})
		},
		func() error { return tx.InsertDomain(platform.Domain{Domain: id, App: id, Owner: owner}) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	build := ""
	if i%10 == 0 {
		build = uuid.NewString()
		err := tx.InsertBuild(platform.Build{
			UUID: build, App: id, Owner: owner, Image: id + "@sha256:" + fmt.Sprintf("%064d", i), SHA: "0123abcd",
			Procfile: map[string]string{"web": "true"}, Created: now, Updated: now,
		})
		if err != nil {
			return err
		}
	}
	for v := range releases {
		if err := release(tx, id, owner, build, v, now.Add(time.Duration(v-releases)*time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

func release(tx *store.Tx, app, owner, build string, v int, at time.Time) error {
	config := platform.Config{
		UUID: uuid.NewString(), App: app, Owner: owner, Created: at, Updated: at,
		Values: map[string]string{"DATABASE_URL": "postgres://user:password@host/" + app, "VERSION": fmt.Sprint(v)},
	}
	if err := tx.InsertConfig(config); err != nil {
		return err
	}
	if v == 0 {
		build = ""
	}
	_, err := tx.InsertRelease(platform.Release{
		UUID: uuid.NewString(), App: app, Owner: owner, Config: config.UUID, Build: build, State: platform.ReleaseSucceeded,
		Summary: owner + " changed VERSION", Created: at, Updated: at,
	})
	if err != nil {
		return err
	}
	return tx.InsertEvent(platform.Event{At: at, Name: "release.created", App: app, User: owner, Attrs: map[string]string{"release": fmt.Sprint("v", v+1)}})
}

// ask measures pages as users fetch them, four at a time.
func ask(ctx context.Context, o options) error {
	random := func() string { return name(rand.IntN(o.apps)) } //nolint:gosec // any will do
	for _, kind := range []struct {
		name string
		path func() string
	}{
		{"list, 100 a page", func() string { return "/v2/apps/" }},
		{"list, any page", func() string { return fmt.Sprintf("/v2/apps/?limit=100&offset=%d", rand.IntN(max(1, o.apps-100))) }}, //nolint:gosec // any will do
		{"info", func() string { return "/v2/apps/" + random() + "/" }},
		{"releases", func() string { return "/v2/apps/" + random() + "/releases/" }},
		{"config", func() string { return "/v2/apps/" + random() + "/config/" }},
		{"domains", func() string { return "/v2/apps/" + random() + "/domains/?limit=1" }},
		{"audit of an app", func() string { return "/v2/audit/?app=" + random() }},
	} {
		took, err := measure(ctx, o, kind.path)
		if err != nil {
			return err
		}
		at := func(q float64) float64 {
			return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
		}
		fmt.Printf("%-18s p50 %6.2f ms   p99 %6.2f ms   max %6.2f ms\n", kind.name, at(0.5), at(0.99), at(1))
	}
	return nil
}

func measure(ctx context.Context, o options, path func() string) ([]time.Duration, error) {
	const at = 4
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var asking sync.WaitGroup
	for range at {
		asking.Go(func() {
			for range o.asks / at {
				began := time.Now()
				err := get(ctx, o, path())
				mu.Lock()
				took = append(took, time.Since(began))
				if failed == nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	slices.Sort(took)
	return took, failed
}

func get(ctx context.Context, o options, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.api+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "token "+o.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s answered %d %.200s", path, resp.StatusCode, said)
	}
	return err
}
