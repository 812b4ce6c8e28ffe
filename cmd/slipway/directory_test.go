package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// filled are the options of a command line, its file and this environment.
func filled(t *testing.T, file string, args ...string) *options {
	t.Helper()
	var o options
	cmd := &cobra.Command{}
	o.flags(cmd.Flags())
	if err := cmd.Flags().Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := o.fill(cmd, file, os.Getenv); err != nil {
		t.Fatal(err)
	}
	if err := o.takeDirectoryPassword(); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestTheDirectoryIsToldByEnvironmentUnderBothNames(t *testing.T) {
	for name, value := range map[string]string{
		"LDAP_ENDPOINT": "ldap://ldap.example.com", "LDAP_BIND_DN": "cn=slipway,dc=example,dc=com", "LDAP_BIND_PASSWORD": "hush",
		"LDAP_USER_BASEDN": "ou=nobody", "SLIPWAY_LDAP_USER_BASEDN": "ou=people", "LDAP_USER_FILTER": "uid",
		"LDAP_GROUP_BASEDN": "ou=groups", "LDAP_GROUP_FILTER": "objectClass=groupOfNames",
	} {
		t.Setenv(name, value)
	}
	o := filled(t, "", "--ldap-group-basedn", "ou=teams")
	got := []string{o.LDAP.Endpoint, o.LDAP.BindDN, o.LDAP.BindPassword, o.LDAP.UserBase, o.LDAP.UserAttribute, o.LDAP.GroupBase, o.LDAP.GroupFilter}
	want := "ldap://ldap.example.com cn=slipway,dc=example,dc=com hush ou=people uid ou=teams objectClass=groupOfNames"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if value, set := os.LookupEnv("LDAP_BIND_PASSWORD"); set {
		t.Errorf("a process started now would inherit %q", value)
	}
	var log bytes.Buffer
	if directory, err := o.openDirectory(slog.New(slog.NewTextHandler(&log, nil))); err != nil || directory == nil {
		t.Errorf("got %v, %v", directory, err)
	}
	if !strings.Contains(log.String(), "unencrypted") || strings.Contains(log.String(), "hush") {
		t.Errorf("the log says\n%s", log.String())
	}
}

func TestTheDirectorysPasswordIsInAFileAndNoOption(t *testing.T) {
	dir := t.TempDir()
	password, conf := filepath.Join(dir, "password"), filepath.Join(dir, "conf")
	lines := "ldap-endpoint = ldaps://ldap.example.com\nldap-user-basedn = ou=people,dc=example,dc=com\nldap-bind-password-file = " + password + "\n"
	if err := os.WriteFile(password, []byte("hush hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	o := filled(t, conf)
	if o.LDAP.BindPassword != "hush hush" || o.LDAP.UserBase != "ou=people,dc=example,dc=com" || o.LDAP.UserAttribute != "username" {
		t.Errorf("got %+v", o.LDAP)
	}
	cmd := &cobra.Command{}
	new(options).flags(cmd.Flags())
	if cmd.Flags().Lookup("ldap-bind-password") != nil {
		t.Error("the password is a flag, which everybody on the machine can read")
	}
}

func TestWithoutAnEndpointThereIsNoDirectory(t *testing.T) {
	if directory, err := filled(t, "").openDirectory(slog.New(slog.DiscardHandler)); directory != nil || err != nil {
		t.Errorf("got %v, %v", directory, err)
	}
}
