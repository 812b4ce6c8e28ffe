package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	inBlock  = regexp.MustCompile(`(?m)^    (?:\$ )?(slipway .*)$`)
	inProse  = regexp.MustCompile("`(slipway [^`]*)`")
	another  = regexp.MustCompile(`\s{2,}slipway `) // two columns
	itsEnd   = regexp.MustCompile(`\s(?:#|\||<|>|…|&&)(?:\s|$)`)
	plain    = regexp.MustCompile(`^[a-z][a-z-]*$`)
	oneFlag  = regexp.MustCompile(`^--?[a-z][a-z0-9-]*`)
	inQuotes = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// commandsIn are those that a document shows, without what they are given in quotes.
func commandsIn(text string) (all []string) {
	for _, form := range [...]*regexp.Regexp{inBlock, inProse} {
		for _, found := range form.FindAllStringSubmatch(text, -1) {
			for _, one := range another.Split(found[1], -1) {
				one = inQuotes.ReplaceAllString(strings.TrimPrefix(one, "slipway "), "x1")
				all = append(all, itsEnd.Split(one+" ", 2)[0])
			}
		}
	}
	return all
}

func TestEveryCommandOfTheDocumentsExistsWithItsOptions(t *testing.T) {
	files, _ := filepath.Glob("../../docs/*.md")
	seen := 0
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md", "../../SECURITY.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range commandsIn(string(text)) {
			seen++
			if why := unknown(strings.Fields(command)); why != "" {
				t.Errorf("%s: slipway %s: there is no %s", filepath.Base(file), command, why)
			}
		}
	}
	if seen < 200 {
		t.Errorf("only %d commands were found in the documents", seen)
	}
}

// unknown is what of a command there is not.
func unknown(words []string) string {
	cmd, rest, err := rootCommand().Find(words)
	if err != nil || !cmd.HasParent() && len(rest) > 0 && plain.MatchString(rest[0]) {
		return words[0]
	}
	if cmd.HasSubCommands() && len(rest) > 0 && plain.MatchString(rest[0]) && cmd.ValidateArgs(rest[:1]) != nil {
		return rest[0]
	}
	for _, word := range rest {
		if word == "--" {
			break // what comes is another program's
		}
		flag := oneFlag.FindString(word)
		if name, long := strings.CutPrefix(flag, "--"); long && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil && name != "help" && name != "version" {
			return flag
		}
	}
	return ""
}
