import java.net.HttpURLConnection;
import java.net.URI;
import javax.naming.directory.InitialDirContext;

// Prints the status of a GET; with the name of a DNS server, what JNDI finds of a name there.
class Get {
    public static void main(String[] words) throws Exception {
        if (words[0].equals("dns"))
            System.out.println(new InitialDirContext().getAttributes("dns://" + words[1] + "/" + words[2]));
        else
            System.out.println(((HttpURLConnection) URI.create(words[0]).toURL().openConnection()).getResponseCode());
    }
}
