package router

import (
	"fmt"
	"testing"
	"time"
)

// An app with very many names takes no place of those that others' clients come
// for: neither among the names nor among the handshakes that wait.
func TestAnAppWithManyNamesHasNobodyElsesPlace(t *testing.T) {
	var o onDemand
	o.begin()
	for n := range 2 * maxAsked {
		o.ask(fmt.Sprintf("n%d.eve.test", n), "eve")
	}
	if len(o.asked) != maxAsked || o.of["eve"] != maxAsked {
		t.Fatalf("%d are asked for, %d of one app", len(o.asked), o.of["eve"])
	}
	for n := range 10 {
		if name := fmt.Sprintf("n%d.bob.test", n); !o.ask(name, "bob") || o.asked[name].app != "bob" {
			t.Errorf("%s is not asked for", name)
		}
	}
	for n := range 3 * maxAsked { // each by an app of its own
		o.ask(fmt.Sprintf("app%d.test", n), fmt.Sprintf("app%d", n))
	}
	if len(o.asked) != maxAsked || o.of["eve"] > 1 || o.of["bob"] > 1 {
		t.Errorf("%d are asked for, %d and %d of who had more", len(o.asked), o.of["eve"], o.of["bob"])
	}
	if !o.ask("late.test", "late") || o.asked["late.test"].app != "late" {
		t.Error("one more app has no place")
	}
	o.forget(time.Now().Add(2 * askedLife))
	if len(o.asked) > 0 || len(o.of) > 0 {
		t.Errorf("left are %v, %v", o.asked, o.of)
	}

	inside := 0
	for o.enter("eve") {
		inside++
	}
	if inside != maxAwaiting/2 || !o.enter("bob") || o.enter("eve") {
		t.Errorf("%d of one app wait", inside)
	}
	o.leave("bob")
	for range inside {
		o.leave("eve")
	}
	if o.waiting != 0 || len(o.within) > 0 {
		t.Errorf("left are %d, %v", o.waiting, o.within)
	}
}
