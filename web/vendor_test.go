package web

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// The app blinds a PIN with the vendored module, the server evaluates with
// circl: if they disagreed by one bit, no PIN would ever be right.

func TestTheServersOPRFIsThatOfTheStandard(t *testing.T) {
	data, err := os.ReadFile("testdata/oprf_rfc9497.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Key, Blind string
		Vectors    []struct{ Input, Blinded, Evaluated, Output string }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	key := new(oprf.PrivateKey)
	if err := key.UnmarshalBinary(oprf.SuiteP256, unhex(t, file.Key)); err != nil {
		t.Fatal(err)
	}
	scalar := group.P256.NewScalar()
	if err := scalar.UnmarshalBinary(unhex(t, file.Blind)); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		_, request, err := oprf.NewClient(oprf.SuiteP256).DeterministicBlind([][]byte{unhex(t, v.Input)}, []oprf.Blind{scalar})
		if err != nil {
			t.Fatal(err)
		}
		if blinded, err := request.Elements[0].MarshalBinaryCompress(); err != nil || hex.EncodeToString(blinded) != v.Blinded {
			t.Errorf("input %s: blinded %x %v", v.Input, blinded, err)
		}
		if evaluated := evaluate(t, key, v.Blinded); evaluated != v.Evaluated {
			t.Errorf("input %s: evaluated %s", v.Input, evaluated)
		}
		if output, err := oprf.NewServer(oprf.SuiteP256, key).FullEvaluate(unhex(t, v.Input)); err != nil || hex.EncodeToString(output) != v.Output {
			t.Errorf("input %s: output %x %v", v.Input, output, err)
		}
	}
}

func TestTheAppAndTheServerAgreeOnEveryPIN(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("node is needed to run the vendored module")
		}
		t.Skip("no node here; tests/browser/vendor.test.mjs holds the module to the standard's vectors")
	}
	command := exec.CommandContext(t.Context(), node, "testdata/oprf_client.mjs")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	for range 25 {
		key, err := oprf.GenerateKey(oprf.SuiteP256, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		input := make([]byte, 68)
		if _, err := rand.Read(input); err != nil {
			t.Fatal(err)
		}
		blinded := exchange(t, in, answers, map[string]string{"input": hex.EncodeToString(input)})["blinded"]
		output := exchange(t, in, answers, map[string]string{"evaluated": evaluate(t, key, blinded)})["output"]
		want, err := oprf.NewServer(oprf.SuiteP256, key).FullEvaluate(input)
		if err != nil {
			t.Fatal(err)
		}
		if output != hex.EncodeToString(want) {
			t.Errorf("input %x: the app computes %s, the server %x", input, output, want)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

func exchange(t *testing.T, in io.Writer, answers *bufio.Scanner, message map[string]string) map[string]string {
	t.Helper()
	line, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(in, "%s\n", line); err != nil {
		t.Fatal(err)
	}
	if !answers.Scan() {
		t.Fatalf("no answer: %v", answers.Err())
	}
	var answer map[string]string
	if err := json.Unmarshal(answers.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func evaluate(t *testing.T, key *oprf.PrivateKey, blinded string) string {
	t.Helper()
	element := group.P256.NewElement()
	if err := element.UnmarshalBinary(unhex(t, blinded)); err != nil {
		t.Fatal(err)
	}
	evaluation, err := oprf.NewServer(oprf.SuiteP256, key).Evaluate(&oprf.EvaluationRequest{Elements: []oprf.Blinded{element}})
	if err != nil {
		t.Fatal(err)
	}
	evaluated, err := evaluation.Elements[0].MarshalBinaryCompress()
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(evaluated)
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhatIsVendoredCarriesItsLicence(t *testing.T) {
	modules, err := fs.Glob(staticFiles, "static/vendor/*.js")
	if err != nil || len(modules) == 0 {
		t.Fatalf("%d vendored modules, %v", len(modules), err)
	}
	licences := []string{"static/fonts/LICENSE", "static/icons.LICENSE"}
	for _, module := range modules {
		licences = append(licences, strings.TrimSuffix(module, ".js")+".LICENSE")
	}
	for _, licence := range licences {
		if text, err := staticFiles.ReadFile(licence); err != nil || len(text) < 500 {
			t.Errorf("%s: %d bytes, %v", licence, len(text), err)
		}
	}
}
