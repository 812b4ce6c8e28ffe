package platform_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestWhatIsKeptAndReadBackIsTheSame(t *testing.T) {
	states := rapid.Make[platform.AppState]()
	rapid.Check(t, func(t *rapid.T) {
		one := states.Draw(t, "one")
		text, err := json.Marshal(one)
		if err != nil {
			t.Skip(err)
		}
		var again platform.AppState
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if !platform.Same(one, again) {
			t.Errorf("%+v came back as %+v", one, again)
		}
	})
}

func TestOneDifferenceAnywhereIsADifference(t *testing.T) {
	base := func() platform.InstanceSpec {
		return platform.InstanceSpec{ID: "a", Spec: platform.Spec{
			Args: []string{"x"}, Env: map[string]string{"A": "1"}, Grace: time.Second,
			Readiness: &platform.Probe{HTTPGet: &platform.HTTPGet{Path: "/", HTTPHeaders: []platform.HTTPHeader{{Name: "H", Value: "v"}}}},
		}}
	}
	if !platform.Same(base(), base()) {
		t.Error("two of the same differ")
	}
	for name, change := range map[string]func(*platform.InstanceSpec){
		"a field":         func(s *platform.InstanceSpec) { s.Release = 2 },
		"an argument":     func(s *platform.InstanceSpec) { s.Spec.Args = []string{"y"} },
		"one more":        func(s *platform.InstanceSpec) { s.Spec.Args = append(s.Spec.Args, "") },
		"a value":         func(s *platform.InstanceSpec) { s.Spec.Env["A"] = "2" },
		"a name":          func(s *platform.InstanceSpec) { s.Spec.Env = map[string]string{"B": "1"} },
		"a probe":         func(s *platform.InstanceSpec) { s.Spec.Readiness = nil },
		"deep in a probe": func(s *platform.InstanceSpec) { s.Spec.Readiness.HTTPGet.HTTPHeaders[0].Value = "w" },
		"a time":          func(s *platform.InstanceSpec) { s.Spec.Grace++ },
	} {
		other := base()
		change(&other)
		if platform.Same(base(), other) {
			t.Errorf("%s makes no difference", name)
		}
	}
	empty, none := base(), base()
	empty.Spec.Args, none.Spec.Args = []string{}, nil
	empty.Spec.Env, none.Spec.Env = map[string]string{}, nil
	if !platform.Same(empty, none) {
		t.Error("empty and none differ")
	}
}
