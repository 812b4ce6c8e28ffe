// Soak has many users work on one platform at once and checks every answer
// against what the REST contract allows, and at the end that no accepted change
// was lost. It is run by bench/soak, which makes the platform.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.edge, "edge", "127.0.0.1:8080", "address of the edge")
	flag.StringVar(&o.token, "token", "", "token of an administrator")
	flag.StringVar(&o.tree, "tree", "examples/hello-procfile", "what is pushed")
	flag.IntVar(&o.users, "users", 50, "how many users")
	flag.IntVar(&o.deployed, "deployed", 10, "how many of them have an app that runs")
	flag.DurationVar(&o.time, "time", 5*time.Minute, "how long")
	flag.Parse()
	if err := soak(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

type options struct {
	edge, token, tree string
	users, deployed   int
	time              time.Duration
}

// soak sets the users up, lets them work, and judges.
func soak(ctx context.Context, o options) error {
	w := &world{edge: o.edge, tally: newTally()}
	admin := &person{w: w, name: "admin", token: o.token}
	if err := w.populate(ctx, admin, o); err != nil {
		return err
	}
	fmt.Printf("%d users, %d of them with an app that runs, work for %s\n", o.users, o.deployed, o.time)
	until := time.Now().Add(o.time)
	var working sync.WaitGroup
	for _, p := range w.people {
		working.Go(func() {
			for time.Now().Before(until) {
				p.act(ctx, pick(p.r))
			}
		})
	}
	working.Wait()
	w.tally.print()
	lost := w.lostUpdates(ctx)
	fmt.Printf("lost updates  %d\n", lost)
	if wrong := w.tally.wrongs(); wrong > 0 || lost > 0 {
		return fmt.Errorf("%d answers that are not the contract's, %d lost updates", wrong, lost)
	}
	return nil
}

// populate registers the users, makes each an app that the next one shares,
// and pushes to some.
func (w *world) populate(ctx context.Context, admin *person, o options) error {
	for i := range o.users {
		p := &person{w: w, n: i, name: fmt.Sprintf("soak%d", i), app: fmt.Sprintf("soak-%d", i), r: rand.New(rand.NewPCG(uint64(i), 1)), deployed: i < o.deployed}
		p.mine, p.labels = map[string]string{}, map[string]string{}
		w.people = append(w.people, p)
		steps := []error{
			admin.must(ctx, 201, "POST", "/v2/auth/register/", object{"username": p.name, "password": "soak soak soak", "email": ""}),
			p.login(ctx),
			p.must(ctx, 201, "POST", "/v2/apps/", object{"id": p.app}),
		}
		for _, err := range steps {
			if err != nil {
				return err
			}
		}
		if p.deployed {
			if err := p.push(ctx, o.tree); err != nil {
				return err
			}
		}
	}
	for i, p := range w.people {
		p.friend = w.people[(i+1)%len(w.people)]
		if err := p.friend.must(ctx, 201, "POST", p.friend.path("perms/"), object{"username": p.name}); err != nil {
			return err
		}
	}
	return nil
}

// lostUpdates compares what was accepted with what is there.
func (w *world) lostUpdates(ctx context.Context) (lost int) {
	for _, p := range w.people {
		var config struct{ Values map[string]string }
		var settings struct{ Label map[string]any }
		if err := p.read(ctx, p.friend.path("config/"), &config); err != nil {
			fmt.Println("read", p.friend.app, err)
			lost++
			continue
		}
		if err := p.read(ctx, p.friend.path("settings/"), &settings); err != nil {
			lost++
			continue
		}
		for key, want := range p.mine {
			if got := config.Values[key]; got != want {
				fmt.Printf("config %s of %s is %q, and %q was accepted\n", key, p.friend.app, got, want)
				lost++
			}
		}
		for key, want := range p.labels {
			if got, _ := settings.Label[key].(string); got != want {
				fmt.Printf("label %s of %s is %q, and %q was accepted\n", key, p.friend.app, got, want)
				lost++
			}
		}
		lost += p.gaps(ctx)
	}
	return lost
}

// gaps counts what is missing in the app's ledger.
func (p *person) gaps(ctx context.Context) (missing int) {
	var list struct {
		Count   int
		Results []struct{ Version int }
	}
	if err := p.read(ctx, p.path("releases/?limit=1000000"), &list); err != nil {
		return 1
	}
	for i, release := range list.Results {
		if release.Version != list.Count-i {
			fmt.Printf("the ledger of %s has v%d in the place of v%d\n", p.app, release.Version, list.Count-i)
			missing++
		}
	}
	return missing
}
