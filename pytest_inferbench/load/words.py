"""
The words that synthetic prompts are made of.

Short and common, so that nearly every vocabulary has each of them (with the blank before it) as a single token: then a
prompt of n words is a prompt of n tokens, and where no tokenizer is at hand the estimate is a good one.
"""

from __future__ import annotations

WORDS: tuple[str, ...] = tuple(
    """
    able about above access account across action active actual added address after again against age agent agree ahead air
    all allow almost alone along already also always among amount and animal annual another answer any appear apply area argue
    arm army around arrive art article artist ask attack author average avoid away baby back bad bag balance ball band bank bar
    base basic battle bear beat beauty because become bed before begin behavior behind being believe below benefit best better
    between beyond big bill billion bird birth bit black blood blue board boat body bone book border born both bottom box boy
    brain branch bread break bridge brief bright bring broad brother budget build building burn bus business busy but buy call
    camera camp campaign can capital car card care career carry case cash cast catch cause cell center central century certain
    chair challenge chance change chapter character charge cheap check chest chief child choice choose church citizen city
    claim class clean clear client climate clock close cloud club coach coast code coffee cold collect college color come
    comment common community company compare complete computer concern condition conference consider contain content context
    continue contract control conversation cook cool copy corner correct cost could council count country couple course court
    cover create credit crime critical cross crowd culture cup current customer cut cycle daily damage dance danger dark data
    date daughter day dead deal death debate decade decide decision deep defense degree demand depend depth describe desert
    design desk detail develop device difference difficult dinner direct direction director discover discuss disease distance
    district doctor document dog door double down draft draw dream dress drink drive drop drug dry due during dust duty each
    early earn earth east easy eat economy edge edit education effect effort eight either election electric element else
    empty enable end energy engine enjoy enough ensure enter entire environment equal error escape especially establish even
    evening event ever every evidence exact example except exchange exist expect expert explain express extra eye face fact
    factor fail fair faith fall family famous far farm fast father fear feature federal feel few field fight figure file fill
    film final finance find fine finger finish fire firm first fish fit five fix flat flight floor flow flower fly focus
    follow food foot for force foreign forest forget form formal former forward found four frame free fresh friend from front
    fruit fuel full fun function fund future gain game garden gas gate gather general get gift girl give glass global goal
    gold good govern grade grand grass great green ground group grow growth guard guess guest guide gun habit hair half hall
    hand handle happen happy hard head health hear heart heat heavy height help here hide high hill history hit hold hole home
    hope horse hospital host hot hotel hour house how however huge human hundred hurt idea image impact important improve
    include increase indeed index indicate industry inside instead interest into iron island issue item job join journey judge
    jump just keep key kid kill kind king kitchen know lack lady lake land language large last late later laugh law lay lead
    leader learn least leave left leg legal less letter level library lie life light like limit line link list listen little
    live local long look lose loss lot love low luck lunch machine main major make male manage many map mark market master
    match material matter may mean measure media medical meet meeting member memory mention message metal method middle might
    mile military milk million mind minute miss mission model modern moment money month moon more morning most mother motion
    mountain mouth move movie much music must name narrow nation native nature near nearly neck need network never new news
    next nice night nine noise none north nose note nothing notice number object observe ocean off offer office officer often
    oil old once one only open operate opinion option orange order organ origin other our out outside over own owner page pain
    paint pair paper parent park part partner party pass past path patient pattern pay peace people per perfect perform period
    person phone photo phrase physical pick picture piece place plain plan plane planet plant plate play player please plenty
    pocket poem point police policy poor popular position possible post power practice prepare present press pretty prevent
    price print private problem process produce product program project proof property protect proud prove provide public pull
    purpose push put quality quarter question quick quiet quite race radio rain raise range rapid rate rather reach read ready
    real reason receive recent record red reduce region relate release remain remember remove repeat reply report request rest
    result return rich ride right ring rise risk river road rock role roll room root round route rule run rural safe salt same
    sand save say scale scene school science score screen sea search season seat second secret section see seed seek seem sell
    send sense series serve service set seven several shade shape share sharp she sheet ship shop short shot should shoulder
    show side sight sign silver similar simple since sing single sister site six size skill skin sky sleep slow small smile
    smoke snow social soft soil soldier some song soon sort sound source south space speak special speech speed spend spirit
    sport spot spread spring square staff stage stand standard star start state station stay steel step still stock stone stop
    store storm story strange street strength strong structure student study style subject success such sudden sugar suggest
    summer sun supply support sure surface survey sweet swim system table take talk tall target task tax teach teacher team
    tell ten term test text than thank that the their then theory there these they thick thin thing think third this those
    though thought thousand three through throw time tiny title today together tone tonight tool top topic total touch tour
    toward town track trade train travel treat tree trial trip truck true trust truth try turn twelve twenty two type under
    union unit until upon upper use usual valley value various very view village visit voice vote wait walk wall want war warm
    wash watch water wave way weak wear weather week weight well west what wheel when where which while white who whole why
    wide wife wild will win wind window wine winter wire wise wish with within without woman wonder wood word work world worry
    worth would write wrong yard year yellow yes yet you young zero
    """.split()  # noqa: SIM905 - a thousand quoted words would read worse
)
