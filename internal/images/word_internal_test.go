package images

import (
	"strings"
	"testing"
)

// Docker Hub itself cannot be asked in a test.
func TestDockerHubSaysOfWhatIsMissingThatItIsDenied(t *testing.T) {
	ref, _ := ParseReference("ann/shop")
	for name, c := range map[string]struct {
		fault fault
		says  string
	}{
		"missing, or private":       {fault{why: denied, host: DockerHub}, "image ann/shop:latest not found"},
		"credentials it never gave": {fault{why: denied, host: DockerHub, bad: true}, "Permission Denied attempting to pull image ann/shop:latest\n"},
		"another that denies":       {fault{why: denied, host: "quay.io"}, "Permission Denied attempting to pull image ann/shop:latest\n"},
	} {
		n := &nowhere{ref: ref, faults: []*fault{&c.fault}}
		if text := n.word().Error(); !strings.HasPrefix(text, c.says) {
			t.Errorf("%s: %q", name, text)
		}
	}
}
