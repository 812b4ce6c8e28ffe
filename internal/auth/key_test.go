package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/platform"
)

func authorized(t *testing.T, key any) (ssh.PublicKey, string) {
	t.Helper()
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return public, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

func newEd25519(t *testing.T) (ssh.PublicKey, string) {
	t.Helper()
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return authorized(t, key)
}

func TestAKeyFindsItsUser(t *testing.T) {
	r := withUsers(t)
	wire, line := newEd25519(t)
	added, err := r.AddKey(t.Context(), bob, "bob@laptop", "  "+line+" bob@laptop\n")
	if err != nil {
		t.Fatal(err)
	}
	if added.Public != line+" bob@laptop" || added.Fingerprint != ssh.FingerprintLegacyMD5(wire) || added.Owner != "bob" || len(added.UUID) != 36 {
		t.Errorf("got %+v", added)
	}
	caller, key, err := r.ByKey(t.Context(), wire.Marshal())
	if err != nil || caller.User != "bob" || caller.Admin || key.ID != "bob@laptop" {
		t.Errorf("got %+v, %+v, %v", caller, key, err)
	}
	if err := r.DeleteKey(t.Context(), bob, "bob@laptop"); err != nil {
		t.Fatal(err)
	}
	for _, wire := range [][]byte{wire.Marshal(), nil, []byte("x")} {
		_, _, err := r.ByKey(t.Context(), wire)
		wantKind(t, err, platform.ErrUnauthenticated)
	}
}

func TestKeysOfEveryTypeAreTaken(t *testing.T) {
	r := withUsers(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, rsaLine := authorized(t, &rsaKey.PublicKey)
	_, ecdsaLine := authorized(t, &ecdsaKey.PublicKey)
	_, edLine := newEd25519(t)
	for id, line := range map[string]string{"rsa": rsaLine, "ecdsa": ecdsaLine, "ed25519": edLine} {
		if _, err := r.AddKey(t.Context(), bob, id, line); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	keys, count, err := r.Keys(t.Context(), bob, platform.Page{})
	if err != nil || count != 3 || keys[0].ID != "ecdsa" {
		t.Errorf("got %+v, %d, %v", keys, count, err)
	}
}

func TestAKeyOfOpenSSHIsTaken(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed: apt-get install openssh-client")
	}
	r := withUsers(t)
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		path := filepath.Join(t.TempDir(), kind)
		if output, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		line, err := exec.CommandContext(t.Context(), "cat", path+".pub").Output()
		if err != nil {
			t.Fatal(err)
		}
		key, err := r.AddKey(t.Context(), bob, kind, string(line))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := exec.CommandContext(t.Context(), "ssh-keygen", "-l", "-E", "md5", "-f", path+".pub").Output()
		if err != nil || !bytes.Contains(shown, []byte("MD5:"+key.Fingerprint)) {
			t.Errorf("got %s, ssh-keygen says %s", key.Fingerprint, shown)
		}
	}
}

func TestWhatIsNoKeyIsRefusedInTheWordsOfTheContract(t *testing.T) {
	r := withUsers(t)
	_, line := newEd25519(t)
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 511), E: 65537}
	_, weak := authorized(t, small)
	const noKey = "Key is no SSH public key of type rsa, dsa, ecdsa or ed25519"
	for public, want := range map[string]string{
		"":                          "This field may not be blank.",
		"ssh-rsa":                   "Key contains invalid base64 chars",
		"ssh-rsa !!! me":            "Key contains invalid base64 chars",
		"ssh-rsa AAAA":              noKey,
		"ssh-rsa " + line[12:]:      noKey,
		`command="ls" ` + line:      "Key contains invalid base64 chars",
		line + "\n" + line:          "Key is more than one line",
		weak:                        "Key has 512 bits: rsa keys need between 1024 and 16384",
		strings.Repeat("a", 1<<20):  "Ensure this field has no more than 16384 characters.",
		"x " + base64Of("\x00\x00"): noKey,
	} {
		_, err := r.AddKey(t.Context(), bob, "id", public)
		wantField(t, err, "public", want)
	}
	for id, want := range map[string]string{
		"": "This field may not be blank.", " ": "This field may not be blank.", "a\nb": "Control characters are not allowed.",
		strings.Repeat("a", 129): "Ensure this field has no more than 128 characters.",
	} {
		_, err := r.AddKey(t.Context(), bob, id, line)
		wantField(t, err, "id", want)
	}
	_, err := r.AddKey(t.Context(), nobody, "id", line)
	wantKind(t, err, platform.ErrUnauthenticated)
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestKeysAreUniqueAmongAllAndSeenByTheirOwnersOnly(t *testing.T) {
	r := withUsers(t)
	_, line := newEd25519(t)
	_, other := newEd25519(t)
	if _, err := r.AddKey(t.Context(), bob, "laptop", line); err != nil {
		t.Fatal(err)
	}
	_, err := r.AddKey(t.Context(), ann, "laptop", other)
	wantField(t, err, "id", "SSH Key with this id already exists.")
	_, err = r.AddKey(t.Context(), ann, "desktop", line+" another comment")
	wantField(t, err, "public", "Public Key is already in use")
	_, err = r.Key(t.Context(), ann, "laptop")
	wantKind(t, err, platform.ErrNotFound)
	wantKind(t, r.DeleteKey(t.Context(), ann, "laptop"), platform.ErrNotFound)
	if _, count, err := r.Keys(t.Context(), ann, platform.Page{}); err != nil || count != 0 {
		t.Errorf("got %d, %v", count, err)
	}
}
