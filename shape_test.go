package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// line is the one allowed import order: a package may import only those before
// it. See docs/ARCHITECTURE.md.
var line = strings.Fields("secrets store audit outgoing push message directory phone browser guard login session oidc web stage main")

// onlyFor names the packages that one folder alone may import: behind it the
// rest of the program does not know them.
var onlyFor = map[string]string{
	"github.com/luikyv/go-oidc":      "oidc",
	"github.com/cloudflare/circl":    "phone",
	"modernc.org/sqlite":             "store",
	"github.com/jackc/pgx":           "store",
	"github.com/pressly/goose":       "store",
	"github.com/wneessen/go-mail":    "message",
	"github.com/alecthomas/kong":     "main",
	"github.com/schollz/progressbar": "main",
}

type source struct {
	path string // from the root
	pkg  string // first folder, or main
	test bool   // _test.go, or a package that only tests import
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || path == "internal" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(f.Comments, func(c *ast.CommentGroup) bool { return strings.Contains(c.Text(), "go:build ignore") }) {
			return nil
		}
		pkg := "main"
		if first, _, found := strings.Cut(filepath.ToSlash(path), "/"); found {
			pkg = first
		}
		test := strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Base(filepath.Dir(path)), "test")
		all = append(all, source{filepath.ToSlash(path), pkg, test, f, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d source files found: the test looks in the wrong place", len(all))
	}
	return all
}

func TestPackagesImportOnlyThoseBeforeThem(t *testing.T) {
	for _, s := range sources(t) {
		here := slices.Index(line, s.pkg)
		if here < 0 {
			t.Errorf("%s: package %s has no place in the import line", s.path, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for module, owner := range onlyFor {
				if strings.HasPrefix(path, module) && s.pkg != owner && !s.test {
					t.Errorf("%s imports %s, which only %s may", s.path, path, owner)
				}
			}
			rest, ours := strings.CutPrefix(path, "vigie/")
			if !ours || s.test {
				continue
			}
			other, _, _ := strings.Cut(rest, "/")
			if there := slices.Index(line, other); there > here || there < 0 {
				t.Errorf("%s imports %s, which comes after %s in the line", s.path, path, s.pkg)
			}
			if strings.HasSuffix(path, "test") {
				t.Errorf("%s imports %s, which is for tests", s.path, path)
			}
		}
	}
}

// forbidden are calls that do not belong into the packages between store and
// main: time comes from the transaction or from a clock that was handed in,
// contexts from the caller, and nobody panics or starts by himself.
var forbidden = map[string]string{
	"time.Now":           "time comes from tx.Now or a clock that was handed in",
	"time.Since":         "time comes from tx.Now or a clock that was handed in",
	"time.Until":         "time comes from tx.Now or a clock that was handed in",
	"context.Background": "the context comes from the caller",
	"context.TODO":       "the context comes from the caller",
	"os.Getenv":          "only main reads the environment",
	"os.LookupEnv":       "only main reads the environment",
	"os.Exit":            "only main ends the program",
	"log.Fatal":          "only main ends the program",
}

func TestNobodyReadsTheClockOrPanicsWhereItDoesNotBelong(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		mayReadTheClock := s.pkg == "store" || s.pkg == "main"
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: init: say it where it is used", s.set.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" {
					t.Errorf("%s: panic: return an error", s.set.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if !ok {
					return true
				}
				if why, found := forbidden[x.Name+"."+n.Sel.Name]; found && !mayReadTheClock {
					t.Errorf("%s: %s.%s: %s", s.set.Position(n.Pos()), x.Name, n.Sel.Name, why)
				}
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	doc := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test && s.file.Doc != nil {
			doc[s.pkg] = true
		}
	}
	for _, p := range line {
		if !doc[p] {
			t.Errorf("package %s has no package comment", p)
		}
	}
}

func TestEveryDirectDependencyHasADecision(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var decisions strings.Builder
	files, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		decisions.Write(b)
	}
	for l := range strings.Lines(string(mod)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(l), "require "))
		if len(f) < 2 || !strings.Contains(f[0], ".") || !strings.HasPrefix(f[1], "v") || strings.Contains(l, "// indirect") {
			continue
		}
		if !strings.Contains(decisions.String(), strings.TrimPrefix(f[0], "github.com/")) {
			t.Errorf("%s: no record in docs/decisions names it", f[0])
		}
	}
}

func TestEveryTestNamedByTheThreatsExists(t *testing.T) {
	threats, err := os.ReadFile("docs/THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				written[f.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`").FindAllStringSubmatch(string(threats), -1)
	for _, n := range named {
		if !written[n[1]] {
			t.Errorf("docs/THREATS.md names %s, which nobody has written", n[1])
		}
	}
	for _, n := range regexp.MustCompile("stor(?:y|ies) `([a-z-]+)`(?:, `([a-z-]+)`)?").FindAllStringSubmatch(string(threats), -1) {
		for _, name := range n[1:] {
			if _, err := os.Stat("testdata/story/" + name + ".txt"); name != "" && err != nil {
				t.Errorf("docs/THREATS.md names the story %s: %v", name, err)
			}
		}
	}
	if len(named) < 40 {
		t.Errorf("only %d tests are named", len(named))
	}
}
