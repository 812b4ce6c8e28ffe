package process_test

import (
	"archive/tar"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestOfASlugOnAStackOnlyTheSlugIsTaken(t *testing.T) {
	n := newNode(t)
	stack := tarOf(t, []tar.Header{
		{Name: "app/of-the-stack", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "bin/bash", Typeflag: tar.TypeReg, Mode: 0o755},
	}, nil)
	image := pushLabelled(t, n.host, map[string]string{platform.LabelSlug: "2", platform.LabelStack: "stack@sha256:0"},
		stack, slug(t, map[string]string{"a": "first"}), slug(t, map[string]string{"b": "second"}))
	before := n.pulls.Load()
	if out := n.run(image, "ls; echo ${FROM_IMAGE:-none}"); out != "a\nb\nnone\n" {
		t.Errorf("it printed %q: want the files of both slug layers alone, and nothing of the stack's environment", out)
	}
	if pulled := n.pulls.Load() - before; pulled != 3 {
		t.Errorf("%d blobs were fetched for two slug layers and a config", pulled)
	}
}

func TestALabelThatCountsWrongIsRefused(t *testing.T) {
	n := newNode(t)
	for _, count := range []string{"0", "-1", "2", "9999999999999999999", "one", ""} {
		image := pushLabelled(t, n.host, map[string]string{platform.LabelSlug: count}, slug(t, map[string]string{"count": count}))
		_, err := n.Run(t.Context(), instance("blog-run-abcde", image, "true"), platform.IO{})
		if !errors.Is(err, platform.ErrInvalid) || !strings.Contains(err.Error(), platform.LabelSlug) {
			t.Errorf("%q: %v", count, err)
		}
	}
}
