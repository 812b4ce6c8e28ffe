package auth

import (
	"testing"
	"time"
)

func TestAHashMatchesItsPasswordOnly(t *testing.T) {
	h := newHasher()
	encoded, err := h.hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"secret": true, "Secret": false, "": false} {
		if got, err := h.matches(t.Context(), password, encoded); err != nil || got != want {
			t.Errorf("%q: got %v, %v", password, got, err)
		}
	}
	if again, _ := h.hash(t.Context(), "secret"); again == encoded {
		t.Error("two hashes of one password are the same")
	}
}

func TestNobodysPasswordTakesAsLongAndNeverMatches(t *testing.T) {
	h := newHasher()
	encoded, err := h.hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	took := func(encoded string) time.Duration {
		start := time.Now()
		if matches, err := h.matches(t.Context(), "wrong", encoded); err != nil || matches {
			t.Fatalf("got %v, %v", matches, err)
		}
		return time.Since(start)
	}
	known, unknown := took(encoded), took("")
	for range 100 { // on a busy machine each may have been kept waiting
		if unknown >= known/3 {
			return
		}
		known, unknown = min(known, took(encoded)), min(unknown, took(""))
	}
	t.Errorf("took %v for somebody and %v for nobody", known, unknown)
}

func TestAStoredHashThatIsNoneIsAnError(t *testing.T) {
	h := newHasher()
	for _, encoded := range []string{
		"x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$", "$argon2id$v=19$m=19456,t=0,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=19456,t=2,p=1$!$!",
	} {
		if matches, err := h.matches(t.Context(), "", encoded); err == nil || matches {
			t.Errorf("%s: got %v, %v", encoded, matches, err)
		}
	}
}
