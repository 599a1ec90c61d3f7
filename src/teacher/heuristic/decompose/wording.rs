//! The roles' own words in the languages they speak. A question in another language gets English words around quotations of its own.

use crate::heuristic::question::Language;

/// Words of one language; `{}` stands for what they are about.
pub(super) struct Wording {
    /// Subtasks that want the whole question answered.
    pub(super) direct: &'static [&'static str],
    /// Subtasks about one thing that the question names, and about its origin.
    pub(super) background: &'static [&'static str],
    /// Subtasks about the first and the second side of a comparison.
    pub(super) sides: [&'static str; 2],
    /// A subtask about a year.
    pub(super) year: &'static str,
    /// Subtasks about one side of a subject, for questions that want an account of it.
    pub(super) aspects: &'static [&'static str],
    /// Words that vary a query when nothing better is left.
    pub(super) facets: &'static [&'static str],
    /// What is thought before the subtasks are listed.
    pub(super) dividing: [&'static str; 2],
    /// What is thought and planned before the first search, about the subtask and a query.
    pub(super) first_search: ([&'static str; 2], &'static str),
    /// Before a further search, about a query.
    pub(super) search: ([&'static str; 3], &'static str),
    /// Before a page is read, about its title.
    pub(super) crawl: ([&'static str; 3], &'static str),
    /// What is thought before an answer, with evidence and without.
    pub(super) concluding: [&'static str; 2],
    /// The answer to a subtask without evidence.
    pub(super) nothing: &'static str,
    /// The section of a subtask whose evidence stands in other sections already.
    pub(super) nothing_new: &'static str,
    /// What is thought before the report.
    pub(super) reporting: &'static str,
    pub(super) introduction: &'static str,
    pub(super) conclusion: &'static str,
    pub(super) references: &'static str,
    /// Opens the report; about the question.
    pub(super) opening: &'static str,
    /// Comes before the key statement at the end.
    pub(super) in_short: &'static str,
    /// The short answer where there is none, and the list of references.
    pub(super) not_found: &'static str,
    pub(super) none: &'static str,
    /// Headings of an extract.
    pub(super) extract: [&'static str; 3],
    /// What stands between two sentences.
    pub(super) space: &'static str,
}

impl Wording {
    /// The words for a question in `language`.
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::English | Language::Other => &ENGLISH,
            Language::Chinese => &CHINESE,
            Language::Japanese => &JAPANESE,
        }
    }
}

impl Wording {
    /// What a subtask in the words of [`Wording::direct`] is about: the rest of it says nothing about the subject.
    pub(super) fn inside<'s>(&self, subtask: &'s str) -> Option<&'s str> {
        self.direct.iter().find_map(|wording| {
            let (before, after) = wording.split_once("{}")?;
            subtask.strip_prefix(before)?.strip_suffix(after)
        })
    }
}

/// A wording with what it is about.
pub(super) fn about(wording: &str, what: &str) -> String {
    wording.replacen("{}", what, 1)
}

static ENGLISH: Wording = Wording {
    direct: &["Direct evidence for the question itself: {}", "One dependable page that settles it: {}"],
    background: &[
        "Background of {}: who or what it is, and when it came about",
        "People and places connected with {}",
        "The history of {} and its main events",
        "What independent works agree on about {}",
    ],
    sides: ["How it stands with {}, in figures and dates", "The corresponding particulars of {} for comparison"],
    year: "Events of the year {} that matter here, and what led up to them",
    aspects: &[
        "Definition of {} and the terms used with it",
        "Causes and driving forces behind {}",
        "How {} works or came to be, step by step",
        "Statistics and measurements concerning {}",
        "Consequences and wider significance of {}",
        "Disputed points and criticism around {}",
        "Latest state of {} and its outlook",
        "Typical cases that illustrate {}",
    ],
    facets: &["history", "origin", "people", "dates", "overview", "statistics", "significance", "sources"],
    dividing: [
        "The question has several parts that different pages will answer. I give each its own subtask, so that none repeats another.",
        "I divide the question by what it names and by what it asks, and keep the parts apart.",
    ],
    first_search: (
        [
            "This subtask is open: {}. I start with the words that a page about it would use.",
            "Nothing is known yet about this: {}. A search comes first.",
        ],
        "Search for “{}” and choose the page that promises most.",
    ),
    search: (
        [
            "Part of the subtask is still open. Other words may lead further.",
            "One source is not enough, so I look for another before I answer.",
            "What I have read suggests new words for a search.",
        ],
        "Search for “{}” and compare the results with what is known.",
    ),
    crawl: (
        [
            "“{}” fits the subtask best. A snippet is no evidence, so I read the page.",
            "“{}” looks promising; I rely on it only after reading it.",
            "The next page to read is “{}”.",
        ],
        "Read “{}” and keep the sentences that bear on the subtask.",
    ),
    concluding: [
        "The pages I have read are enough. I answer with the sentences that fit best and cite each.",
        "None of the pages I could read speaks about this. I say so and cite nothing.",
    ],
    nothing: "No source that could be read says anything about this part of the question.",
    nothing_new: "The sources for this part say nothing beyond what the other sections quote.",
    reporting: "I join the subtask answers into one report, each statement with its source, and leave out what repeats another.",
    introduction: "Introduction",
    conclusion: "Conclusion",
    references: "References",
    opening: "This report answers the question “{}” from the sources cited below.",
    in_short: "In short:",
    not_found: "not found",
    none: "None.",
    extract: ["What bears on the question", "Clues", "Links"],
    space: " ",
};

static CHINESE: Wording = Wording {
    direct: &["查找直接给出答案的来源：{}", "依据一篇可靠的页面回答：{}"],
    background: &["{}的背景：它是什么，何时出现", "与{}有关的人物和地点", "{}的历史沿革及重要事件", "不同著作对{}的共同记载"],
    sides: ["{}方面的具体数据和时间", "作为对照，考察{}的相应情况"],
    year: "{}年前后发生的相关事件及其起因",
    aspects: &[
        "{}的定义与常用概念",
        "造成{}的原因和推动因素",
        "{}的运作方式与形成过程",
        "有关{}的统计数字和测量结果",
        "{}带来的后果与深远意义",
        "围绕{}的争议和批评",
        "{}的最新状况与前景",
        "能够说明{}的典型案例",
    ],
    facets: &["历史", "起源", "人物", "年代", "概况", "数据", "意义", "资料"],
    dividing: [
        "这个问题包含几个部分，需要不同的页面来回答。我为每一部分单独列出子任务，避免彼此重复。",
        "我按照问题提到的事物和所问的内容来划分，使各部分互不重叠。",
    ],
    first_search: (
        ["这个子任务还没有线索：{}。先用相关页面可能使用的词语检索。", "关于这一点还一无所知：{}。首先进行检索。"],
        "检索“{}”，并选出最有希望的页面。",
    ),
    search: (
        ["子任务还有一部分没有解决，换一些词语也许更有帮助。", "只有一个来源是不够的，回答之前再找一个。", "读过的内容提示了新的检索词。"],
        "检索“{}”，并与已知内容对照。",
    ),
    crawl: (
        [
            "《{}》与子任务最相符。摘要不能作为证据，所以阅读全文。",
            "《{}》看起来很有希望，读过之后才能引用。",
            "接下来要读的页面是《{}》。",
        ],
        "阅读《{}》，摘出与子任务有关的句子。",
    ),
    concluding: ["读过的页面已经足够。我用最贴切的句子作答，并逐一注明出处。", "能够读到的页面都没有谈到这一点。我如实说明，不作引用。"],
    nothing: "能够读到的来源都没有谈到问题的这一部分。",
    nothing_new: "这一部分的来源没有给出其他章节之外的内容。",
    reporting: "我把各子任务的答案合并成一份报告，每个论断都注明来源，并去掉重复的内容。",
    introduction: "引言",
    conclusion: "结论",
    references: "参考文献",
    opening: "本报告根据下列来源回答问题“{}”。",
    in_short: "综上所述：",
    not_found: "没有找到",
    none: "无。",
    extract: ["与问题有关的内容", "线索", "链接"],
    space: "",
};

static JAPANESE: Wording = Wording {
    direct: &["答えを直接述べている資料を探す：{}", "信頼できるページをもとに答える：{}"],
    background: &["{}の背景：それは何か、いつ現れたか", "{}に関係する人物と場所", "{}の歴史と主な出来事", "複数の著作に共通する{}の記述"],
    sides: ["{}についての具体的な数値と年代", "比較のための{}の対応する状況"],
    year: "{}年前後の関連する出来事とその経緯",
    aspects: &[
        "{}の定義と用語",
        "{}をもたらした原因と要因",
        "{}の仕組みと成り立ち",
        "{}に関する統計と測定結果",
        "{}の影響と意義",
        "{}をめぐる論争と批判",
        "{}の最新状況と展望",
        "{}を示す代表的な事例",
    ],
    facets: &["歴史", "起源", "人物", "年代", "概要", "統計", "意義", "資料"],
    dividing: [
        "この質問はいくつかの部分からなり、それぞれ別のページが答えになる。重ならないように小さな課題に分ける。",
        "質問が挙げる対象と問われている内容に従って、部分どうしが重ならないように分ける。",
    ],
    first_search: (
        [
            "この課題はまだ手がかりがない：{}。関係するページが使いそうな言葉で検索する。",
            "これについてはまだ何も分からない：{}。まず検索する。",
        ],
        "「{}」を検索し、最も有望なページを選ぶ。",
    ),
    search: (
        [
            "課題の一部がまだ残っている。別の言葉なら先に進めるかもしれない。",
            "資料が一つでは足りないので、もう一つ探す。",
            "読んだ内容から新しい検索語が得られた。",
        ],
        "「{}」を検索し、分かっていることと比べる。",
    ),
    crawl: (
        [
            "「{}」が課題に最も合う。要約は証拠にならないので、ページを読む。",
            "「{}」は有望に見える。読んでから引用する。",
            "次に読むページは「{}」だ。",
        ],
        "「{}」を読み、課題に関わる文を書き留める。",
    ),
    concluding: [
        "読んだページで十分だ。最も合う文で答え、それぞれに出典を付ける。",
        "読めたページはこの点に触れていない。そのことを述べ、引用はしない。",
    ],
    nothing: "読むことのできた資料は、質問のこの部分に触れていない。",
    nothing_new: "この部分の資料は、ほかの節にない内容を述べていない。",
    reporting: "各課題の答えを一つの報告にまとめ、どの記述にも出典を付け、重複を省く。",
    introduction: "はじめに",
    conclusion: "結論",
    references: "参考文献",
    opening: "この報告は、以下の資料に基づいて質問「{}」に答える。",
    in_short: "要するに、",
    not_found: "見つかりませんでした",
    none: "なし。",
    extract: ["質問に関わる内容", "手がかり", "リンク"],
    space: "",
};
