package secret_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/secret"
)

// keyOf is a key as a file holds it, other for each n.
func keyOf(n byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32))
}

func ringOf(t testing.TB, keys ...string) *secret.Ring {
	t.Helper()
	ring, err := secret.FromEnvironment(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func open(t *testing.T, ring *secret.Ring, sealed, about string) string {
	t.Helper()
	plain, err := ring.Open(sealed, about)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestWhatIsSealedOpensAndCannotBeRead(t *testing.T) {
	ring := secret.New()
	for _, plain := range []string{"", "hunter2", "a\x00b\xff\xfe", strings.Repeat("x", 1<<20)} {
		sealed := ring.Seal([]byte(plain), "configs.vars/1")
		if len(plain) > 3 && strings.Contains(sealed, plain) {
			t.Error("the text is in what was sealed")
		}
		if got := open(t, ring, sealed, "configs.vars/1"); got != plain {
			t.Errorf("got %d bytes, want %d", len(got), len(plain))
		}
		if sealed == ring.Seal([]byte(plain), "configs.vars/1") {
			t.Error("sealed twice, the same text is the same: who reads both learns that")
		}
	}
}

func TestATextThatWasChangedOrMovedDoesNotOpen(t *testing.T) {
	ring := secret.New()
	sealed := ring.Seal([]byte("hunter2"), "configs.vars/1")
	for name, attempt := range map[string][2]string{
		"moved":        {sealed, "configs.vars/2"},
		"cut":          {sealed[:len(sealed)-1], "configs.vars/1"},
		"empty":        {sealed[:strings.LastIndex(sealed, ":")+1], "configs.vars/1"},
		"changed":      {sealed[:len(sealed)-6] + "AAAAAA", "configs.vars/1"},
		"never sealed": {`{"A":"1"}`, "configs.vars/1"},
	} {
		plain, err := ring.Open(attempt[0], attempt[1])
		if err == nil || plain != nil {
			t.Errorf("%s: opened as %q", name, plain)
		} else if name != "never sealed" && !strings.Contains(err.Error(), ring.Newest()) {
			t.Errorf("%s: the error does not name the key: %v", name, err)
		}
	}
}

func TestOlderKeysOpenAndTheNewestSeals(t *testing.T) {
	old := ringOf(t, keyOf(1))
	sealed := old.Seal([]byte("hunter2"), "x")
	both := ringOf(t, keyOf(2), keyOf(1))
	if got := open(t, both, sealed, "x"); got != "hunter2" {
		t.Errorf("got %q", got)
	}
	fresh := both.Seal([]byte("hunter2"), "x")
	if !both.Stale(sealed) || !both.Stale("plain") || both.Stale(fresh) {
		t.Error("stale is what is not sealed under the newest key, and nothing else")
	}
	_, err := old.Open(fresh, "x")
	var unknown *secret.UnknownKeyError
	if !errors.As(err, &unknown) || unknown.ID != secret.KeyID(fresh) || !strings.Contains(err.Error(), "put that key back") {
		t.Errorf("got %v, want the missing key and the cure", err)
	}
}

func TestAKeyFileIsMadeOnceForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	ids := make(chan string, 8)
	var openers sync.WaitGroup
	for range cap(ids) {
		openers.Go(func() {
			ring, err := secret.OpenFile(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids <- ring.Newest()
		})
	}
	openers.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Errorf("two who came at once have keys %s and %s", first, id)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestABadKeyIsNamedByItsPlaceAndNeverRepeated(t *testing.T) {
	const bad = "c2VjcmV0c2VjcmV0"
	for want, text := range map[string]string{
		"line 2: a key has 32 bytes, this one 12":      "# old\n" + bad + "\n",
		"line 1: not a key":                            "?" + bad + "\n",
		"line 3: key 8be3a1760df1 is there twice":      keyOf(1) + "\n\n" + keyOf(1) + " # again\n",
		"holds no key":                                 "# nothing\n",
		"secret.key, line 2: a key has 32 bytes, this": keyOf(1) + "\n" + bad,
	} {
		path := filepath.Join(t.TempDir(), "secret.key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := secret.OpenFile(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %s", err, want)
		} else if strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), keyOf(1)) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	for want, list := range map[string]string{"key 2: a key has": keyOf(1) + "," + bad, "key 1: a key has": ",", "key 1: not a key": "!" + bad} {
		_, err := secret.FromEnvironment(list)
		if err == nil || !strings.Contains(err.Error(), "SLIPWAY_SECRET_KEY: "+want) || strings.Contains(err.Error(), bad) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(path, []byte(keyOf(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.OpenFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: got %v", mode, err)
		}
	}
	if _, err := secret.OpenFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a directory: got %v", err)
	}
}

func TestARotationReachesWhoHasTheFileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	serving, err := secret.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := serving.Seal([]byte("old"), "x")
	rotating, err := secret.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := rotating.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	if got := open(t, serving, rotating.Seal([]byte("new"), "x"), "x"); got != "new" {
		t.Errorf("got %q", got)
	}
	if got := open(t, serving, old, "x"); got != "old" {
		t.Errorf("got %q", got)
	}
	if got := secret.KeyID(serving.Seal(nil, "x")); got != id || id == secret.KeyID(old) || len(serving.KeyIDs()) != 2 {
		t.Errorf("sealed under %s, want %s", got, id)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "#") {
		t.Errorf("the comment is gone: %v", err)
	}
}

func TestRotationsAtOnceLoseNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	var rotations sync.WaitGroup
	for range 8 {
		rotations.Go(func() {
			ring, err := secret.OpenFile(path)
			if err == nil {
				_, err = ring.Rotate()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	rotations.Wait()
	ring, err := secret.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ring.KeyIDs()); n != 9 {
		t.Errorf("got %d keys, want the first and 8", n)
	}
}

func TestAFileThatHasGoneBadLeavesTheKeysThatWereGood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	ring, err := secret.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed := ring.Seal([]byte("hunter2"), "x")
	if err := os.WriteFile(path, []byte("oops\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ring.Stale(ring.Seal(nil, "x")) || open(t, ring, sealed, "x") != "hunter2" {
		t.Error("the ring lost its key")
	}
	_, err = ring.Open(ringOf(t, keyOf(3)).Seal(nil, "x"), "x")
	if err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v, want why the file could not be read again", err)
	}
	if _, err := ring.Rotate(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a bad file was rotated: %v", err)
	}
}

func TestKeysOfTheEnvironmentCannotBeRotated(t *testing.T) {
	if _, err := ringOf(t, keyOf(1)).Rotate(); !errors.Is(err, secret.ErrNotAFile) {
		t.Errorf("got %v", err)
	}
}

func FuzzOpenNeverOpensWhatWasNotSealed(f *testing.F) {
	ring := ringOf(f, keyOf(1), keyOf(2))
	const about = "configs.vars/1"
	const sealed = "sealed:1:8be3a1760df1:OQ/lme+BnFKl00z6YdwXnSHWJW9uKaiIHMtDxtWw7awwBwE" // the same in every worker
	body := sealed[strings.LastIndex(sealed, ":")+1:]
	for _, seed := range []string{sealed, sealed[:20], "", "sealed:1:", "sealed:1::", "sealed:2:8be3a1760df1:AAAA", `{"A":"1"}`, sealed + "=", sealed + "\n"} {
		f.Add(seed)
	}
	if _, err := ring.Open(sealed, about); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := ring.Open(text, about)
		// Only the one text opens, however its base64 is broken into lines.
		if err == nil && !strings.Contains(strings.NewReplacer("\r", "", "\n", "").Replace(text), body) {
			t.Errorf("%q opened as %q", text, plain)
		}
	})
}
